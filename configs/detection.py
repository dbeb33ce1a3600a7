"""Your own images and the boxes in them: a detector, from COCO, CSV, Pascal VOC or YOLO files.

python -m experiments.train --config=configs/detection.py --config.data.path=DIR --workdir=runs/own

FCOS over resnet18. Images are laid into squares of 256 pixels with their proportions kept, and half
of them are seen in a mirror: --config.augment="" where left and right matter, as in writing.
--config.model.backbone=NAME takes another network of the articles, --config.data.image_size=512
finds smaller objects.
"""

from cnnjax.config import default


def get_config():
    config = default()
    config.data.name, config.data.path = "boxes", ""
    config.data.image_size, config.data.resize = 256, "pad"
    config.augment = "flip|zoom(0.8,1.25)"
    config.model.name, config.model.backbone = "fcos", "resnet18"
    config.model.levels, config.model.features, config.model.depth = 4, 128, 2
    config.epochs, config.batch_size = 50.0, 16
    config.evaluate.batch_size, config.evaluate.select = 64, "best"
    config.optimizer.name, config.optimizer.weight_decay = "adamw", 1e-4
    config.optimizer.learning_rate, config.optimizer.clip_norm = 1e-3, 10.0
    config.schedule.name, config.schedule.warmup_epochs = "cosine", 1.0
    return config
