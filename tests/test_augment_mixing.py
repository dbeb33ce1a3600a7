"""Mixup and cutmix: whose pixels an image has, and that its labels weigh as much."""

import jax
import numpy as np
import pytest
import scipy.stats

from cnnjax import augment
from cnnjax.augment import mixing
from cnnjax.augment.draws import draw_batch

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNT, HEIGHT, WIDTH = 64, 9, 12
IMAGES = np.random.default_rng(0).integers(1, 256, (COUNT, HEIGHT, WIDTH, 2)).astype(np.uint8)
LABELS = np.random.default_rng(1).integers(0, 10, COUNT).astype(np.int32)
SWAPPED = np.arange(COUNT).reshape(-1, 2)[:, ::-1].ravel()


def mix(text, images=IMAGES, labels=LABELS, key=0, first=0):
    pipeline = augment.pipeline(text)
    found = jax.jit(lambda *batch: pipeline(jax.random.key(key), *batch, first=first))
    return jax.tree.map(np.asarray, found(images, labels))


def test_mixup_weighs_pixels_as_it_weighs_labels():
    images, targets = mix("mixup(1)")
    share = targets.share[:, None, None, None]
    expected = share * IMAGES + (1 - share) * IMAGES[SWAPPED]
    np.testing.assert_allclose(images, expected, atol=1e-3)
    np.testing.assert_array_equal(targets.own, LABELS)
    np.testing.assert_array_equal(targets.others, LABELS[SWAPPED])
    assert targets.share.dtype == np.float32


def test_cutmix_counts_the_pixels_of_each():
    images, targets = mix("cutmix(1)")
    own, other = (images == IMAGES).all(-1), (images == IMAGES[SWAPPED]).all(-1)
    assert (own | other).all()
    clear = ~(own & other).any((1, 2))
    assert clear.sum() > COUNT / 2  # where neighbours have no pixel in common
    np.testing.assert_allclose(targets.share[clear], own.mean((1, 2))[clear], rtol=1e-6)
    np.testing.assert_array_equal(targets.others, LABELS[SWAPPED])
    assert len(np.unique(targets.share)) > COUNT / 8


def test_cutmix_pastes_one_rectangle_in_the_shape_of_the_image():
    whole = np.zeros((COUNT, 90, 120, 1), np.uint8)
    whole[1::2] = 255
    images, targets = mix("cutmix(1)", whole)
    clipped = 0
    for image, original, share in zip(images[..., 0], whole[..., 0], targets.share, strict=True):
        foreign = image != original
        rows, columns = np.flatnonzero(foreign.any(1)), np.flatnonzero(foreign.any(0))
        assert foreign.sum() == len(rows) * len(columns)
        np.testing.assert_allclose(share, (~foreign).mean(), rtol=1e-6)
        if not len(rows):
            continue
        assert foreign[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        edges = (rows[0] == 0, columns[0] == 0, rows[-1] == 89, columns[-1] == 119)
        clipped += any(edges)
        if not any(edges):
            assert abs(len(columns) - len(rows) * 4 / 3) < 2
    assert COUNT / 4 < clipped < COUNT


def test_a_pair_has_one_proportion_and_one_rectangle():
    for text in ("mixup(1)", "cutmix(1)"):
        images, targets = mix(text)
        np.testing.assert_array_equal(targets.share[::2], targets.share[1::2])
        # What one gives the other gets.
        given = np.float32(IMAGES) + IMAGES[SWAPPED]
        np.testing.assert_allclose(images + images[SWAPPED], given, atol=1e-3)
        assert len(np.unique(targets.share)) > COUNT / 8


def test_the_last_of_an_odd_batch_stays_alone():
    for text in ("mixup(1)", "cutmix(1)"):
        images, targets = mix(text, IMAGES[:5], LABELS[:5])
        np.testing.assert_array_equal(images[4], IMAGES[4])
        assert (targets.own[4], targets.others[4], targets.share[4]) == (*LABELS[[4, 4]], 1)
        even, same = mix(text, IMAGES[:4], LABELS[:4])
        np.testing.assert_array_equal(images[:4], even)
        np.testing.assert_array_equal(targets.share[:4], same.share)
        np.testing.assert_array_equal(targets.others[:4], LABELS[[1, 0, 3, 2]])


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 2.0, 32.0])
def test_shares_are_from_the_beta_distribution(alpha):
    one, two = np.random.default_rng(3).uniform(size=(2, 20000)).astype(np.float32)
    shares = np.asarray(mixing.symmetric_beta(one, two, np.float32(alpha)), np.float64)
    assert shares.min() >= 0 and shares.max() <= 1
    # Below 0.001 and above 0.999 float32 has too few numbers for the smallest alpha.
    quantiles = np.linspace(0.001, 0.999, 500)
    expected = scipy.stats.beta(alpha, alpha).cdf(quantiles)
    found = (shares[:, None] <= quantiles).mean(0)
    assert np.abs(found - expected).max() < 1.63 / np.sqrt(len(shares))  # Kolmogorov at 1 %


def test_the_ends_of_the_uniform_numbers_give_a_share_all_the_same():
    last = np.float32(1 - 2**-24)
    for alpha in (0.0, 1e-3, 1.0, 100.0):
        for one in (np.float32(0), last):
            for two in (np.float32(0), np.float32(0.25), np.float32(0.5), last):
                share = mixing.symmetric_beta(one, two, np.float32(alpha))
                assert 0 <= share <= 1
                if alpha == 0:
                    assert share == 1


def test_shares_of_a_pipeline_are_those_of_its_alpha():
    labels = np.zeros(4096, np.int32)
    images = np.zeros((4096, 2, 2, 1), np.uint8)
    for alpha in (0.2, 3.0):
        _, targets = mix(f"mixup({alpha})", images, labels)
        assert (
            scipy.stats.kstest(targets.share[::2], scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01
        )


def test_mixing_draws_for_itself():
    _, targets = mix("flip|mixup(0.5)")
    one, two, *_ = draw_batch(jax.random.key(0), COUNT, 2, 0).uniform[::2, 1].T
    expected = mixing.symmetric_beta(one, two, 0.5)
    np.testing.assert_allclose(targets.share[::2], expected, rtol=1e-4, atol=1e-6)


def test_images_are_changed_one_by_one_before_they_are_mixed():
    alone, _ = mix("flip|brightness(0.3)", key=5)
    mixed, targets = mix("flip|brightness(0.3)|mixup(1)", key=5)
    share = targets.share[:, None, None, None]
    np.testing.assert_allclose(mixed, share * alone + (1 - share) * alone[SWAPPED], atol=1e-3)


def test_the_main_target_is_that_of_the_larger_share():
    share = np.float32([0.2, 0.499, 0.5, 0.501, 1])
    own, others = np.arange(5), np.arange(5) + 10
    marks = {"label": own, "mask": own.reshape(5, 1, 1)}
    other_marks = {"label": others, "mask": others.reshape(5, 1, 1)}
    main = mixing.Targets(marks, other_marks, share).main
    assert np.asarray(main["label"]).tolist() == [10, 11, 2, 3, 4]
    assert np.asarray(main["mask"]).ravel().tolist() == [10, 11, 2, 3, 4]
