"""What is wrong, or odd, with a folder of images: from what `inspection` has seen in it."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence

from cnnjax.data.folders import Folder
from cnnjax.data.inspection import Seen, equal_groups, near_pairs

# Of the correlation of two images at 16 x 16: 8 of 18 million pairs of MNIST's digits pass, and
# nearly all copies of a photograph that were resized, brightened or compressed anew.
ALIKE = 0.99
# Images beyond which all are not compared with all: half an hour on two cores.
COMPARED = 200_000
FEW = 20  # training images of a class
# A class whose share in a split is off by this many standard deviations, and by a fifth.
DEVIATIONS = 4.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """One kind of trouble. `groups` holds names of files, those that belong together in one."""

    kind: str
    severe: bool
    text: str
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def files(self) -> int:
        return sum(map(len, self.groups))


def findings(folder: Folder, seen: Sequence[Seen], image_size: int = 0) -> list[Finding]:
    """Returns all findings, what must be mended first.

    `image_size` is the side that a config resizes to; 0: it does not, so all must be of one size.
    """
    found = [
        *broken(seen),
        *copies(folder, seen),
        *classes(folder),
        *shares(folder),
        *sizes(seen, image_size),
        *kinds(seen),
        *passed(folder),
    ]
    return sorted(found, key=lambda finding: not finding.severe)


def broken(seen: Sequence[Seen]) -> Iterable[Finding]:
    files = [one for one in seen if one.error]
    if files:
        text = f"cannot be read; {files[0].error}"
        yield Finding("broken", True, text, tuple((one.name,) for one in files))


def copies(folder: Folder, seen: Sequence[Seen]) -> Iterable[Finding]:
    """Yields copies by what they do harm to: labels, tests, or only the size of the set."""
    if len(seen) > COMPARED:
        yield Finding("look alike", False, f"not looked for among more than {COMPARED:,} images")
        near = []
    else:
        near = grouped(near_pairs(seen, ALIKE))
    for equal, groups in ((True, equal_groups(seen)), (False, near)):
        how = "the same image" if equal else "images that look alike"
        found: dict[str, list[tuple[str, ...]]] = collections.defaultdict(list)
        for group in groups:
            labels = {seen[i].label for i in group}
            splits = {seen[i].split for i in group}
            harm = "classes" if len(labels) > 1 else "splits" if len(splits) > 1 else ""
            found[harm].append(tuple(seen[i].name for i in group))
        for harm, text in (
            ("classes", f"{how} in different classes"),
            ("splits", f"{how} in different splits, which is no test"),
            ("", f"{how} in one class and split"),
        ):
            if found[harm]:
                kind = f"{'equal' if equal else 'alike'}{', two ' * bool(harm)}{harm}"
                yield Finding(kind, equal and bool(harm), text, tuple(found[harm]))


def grouped(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns the places that pairs join, directly or through others."""
    group_of: dict[int, list[int]] = {}
    for first, second in pairs:
        one, other = group_of.get(first, [first]), group_of.get(second, [second])
        if one is not other:
            joined = one + other
            group_of.update(dict.fromkeys(joined, joined))
    return list({id(group): sorted(group) for group in group_of.values()}.values())


def classes(folder: Folder) -> Iterable[Finding]:
    counts = collections.Counter(folder.splits["train"].labels)
    named = {name: counts[i] for i, name in enumerate(folder.class_names)}
    single = [name for name, count in named.items() if count < 2]
    few = [f"{name} {count}" for name, count in named.items() if 2 <= count < FEW]
    if single:
        yield Finding("too few", True, f"classes of a single image: {listing(single)}")
    if few:
        yield Finding("few", False, f"classes of fewer than {FEW} images: {listing(few)}")
    most, least = max(named.values()), max(1, min(named.values()))
    if most > 10 * least:
        text = f"the largest class has {most / least:.0f} times the images of the smallest"
        yield Finding("imbalance", False, text)
    spelt: dict[str, list[str]] = collections.defaultdict(list)
    for name in folder.class_names:
        spelt[name.casefold()].append(name)
    for names in spelt.values():
        if len(names) > 1:
            yield Finding("spelling", False, f"classes that differ by case only: {listing(names)}")


def shares(folder: Folder) -> Iterable[Finding]:
    """Yields where a split holds another share of a class than the whole set does."""
    total = collections.Counter(label for e in folder.splits.values() for label in e.labels)
    whole = sum(total.values())
    for split, examples in folder.splits.items():
        size, counts, odd = len(examples), collections.Counter(examples.labels), []
        for label, name in enumerate(folder.class_names):
            share = total[label] / whole
            expected = size * share
            spread = math.sqrt(size * share * (1 - share) * (whole - size) / max(1, whole - 1))
            far = abs(counts[label] - expected)
            if (far > DEVIATIONS * spread and far > 0.2 * expected) or not counts[label]:
                odd.append(f"{name} {counts[label]:,}, expected {expected:,.1f}")
        if odd and len(folder.splits) > 1 and size:
            yield Finding("not stratified", False, f"{split} has {listing(odd)}")


def sizes(seen: Sequence[Seen], image_size: int) -> Iterable[Finding]:
    shapes = collections.Counter(
        (one.facts.width, one.facts.height) for one in seen if one.facts is not None
    )
    if not image_size:
        if len(shapes) > 1:
            yield Finding("sizes", False, f"{len(shapes):,} sizes: training needs data.image_size")
        return
    small = [
        (one.name,)
        for one in seen
        if one.facts is not None and min(one.facts.width, one.facts.height) < image_size
    ]
    if small:
        text = f"smaller than {image_size} x {image_size}: they are enlarged"
        yield Finding("small", False, text, tuple(small))


def kinds(seen: Sequence[Seen]) -> Iterable[Finding]:
    whole = [(one, one.facts) for one in seen if one.facts is not None]
    for kind, text, chosen in (
        ("turned", "turned by EXIF: read upright", [o for o, f in whole if f.turned]),
        ("transparent", "transparent: laid on white", [o for o, f in whole if f.transparent]),
        ("animated", "several frames or pages: the first is read",
         [o for o, f in whole if f.frames > 1]),
        ("flat", "one colour all over, or nearly", [o for o, _ in whole if o.look is None]),
    ):  # fmt: skip
        if chosen:
            yield Finding(kind, False, text, tuple((one.name,) for one in chosen))
    modes = collections.Counter(facts.mode for _, facts in whole)
    if len(modes) > 1:
        text = ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common())
        yield Finding("modes", False, f"kinds of pixels: {text}")


def passed(folder: Folder) -> Iterable[Finding]:
    for why, names in folder.passed_over.items():
        yield Finding("passed over", False, why, tuple((name,) for name in names))


def listing(names: Sequence[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
