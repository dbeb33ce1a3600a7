"""Does a network overfit on little data?"""

import dataclasses

from cnnjax.sweep import measures
from experiments.studies import more_data

STUDY = dataclasses.replace(
    more_data.STUDY,
    claim="With little data a network overfits.",
    source='The article on famous architectures ("S3").',
    question="Does a network overfit on little data?",
    expects={name: -1 for name in more_data.NAMES[1:]},
    measure=measures.overfitting,
    measured="accuracy in training minus in test, %",
    beside={"test accuracy": measures.test_accuracy},
)
