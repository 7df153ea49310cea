"""The data sets as they are unpacked, each in its own layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.datasets import classes
from gem_ros.datasets.points import openimages
from gem_ros.datasets.samples import Dataset, Labels, Sample, read_labels, table
from gem_ros.errors import BagError
from gem_ros.messages import decode
from gem_ros.replay import bag
from gem_ros.replay.importers import Annotated, coco
from gem_ros.replay.labelled import Picture, read_picture
from gem_ros.replay.observations import IMAGE, find_topics
from gem_ros.replay.truth import Sighting, load_truth


def voc(root: Path) -> Dataset:
    """PASCAL VOC 2012, its 1,449 validation images with 20 classes and background."""
    names = _names(root / "ImageSets/Segmentation/val.txt")
    pairs = [(root / f"JPEGImages/{name}.jpg", root / f"SegmentationClass/{name}.png") for name in names]
    return Dataset("voc", classes.VOC, _pixels(pairs, table({n: n for n in range(21)})), background=True)


def voc20(root: Path) -> Dataset:
    """The same without background: its pixels do not count."""
    found = voc(root)
    return Dataset("voc20", found.classes, [_without_background(each) for each in found.samples])


def context60(root: Path) -> Dataset:
    """PASCAL Context, 59 classes and background, as PNGs (0: background) like MMSegmentation prepares them."""
    names = _names(root / "ImageSets/SegmentationContext/val.txt")
    pairs = [(root / f"JPEGImages/{name}.jpg", root / f"SegmentationClassContext/{name}.png") for name in names]
    return Dataset("context60", classes.CONTEXT, _pixels(pairs, table({n: n for n in range(60)})), background=True)


def context(root: Path) -> Dataset:
    """The same without background."""
    found = context60(root)
    return Dataset("context", found.classes, [_without_background(each) for each in found.samples])


def ade20k(root: Path) -> Dataset:
    """ADE20K's 2,000 validation images with 150 classes (ADEChallengeData2016; 0 is everything else)."""
    pairs = [
        (root / f"images/validation/{each.stem}.jpg", each) for each in _glob(root, "annotations/validation/*.png")
    ]
    return Dataset("ade20k", classes.ADE20K, _pixels(pairs, table({n: n - 1 for n in range(1, 151)})))


def cityscapes(root: Path) -> Dataset:
    """Cityscapes' 500 validation images with the 19 classes that count."""
    pairs = []
    for each in _glob(root, "gtFine/val/*/*_gtFine_labelIds.png"):
        name = each.name.replace("_gtFine_labelIds", "_leftImg8bit")
        pairs.append((root / "leftImg8bit/val" / each.parent.name / name, each))
    numbers = {number: label for label, number in enumerate(classes.CITYSCAPES_IDS)}
    return Dataset("cityscapes", classes.CITYSCAPES, _pixels(pairs, table(numbers)))


def coco_stuff(root: Path) -> Dataset:
    """COCO-Stuff's 5,000 validation images with 80 kinds of things and 91 of stuff (a pixel is an id less one)."""
    pairs = [(root / f"val2017/{each.stem}.jpg", each) for each in _glob(root, "stuffthingmaps/val2017/*.png")]
    numbers = {number - 1: label for label, number in enumerate(classes.COCO_IDS)}
    texts = (*classes.COCO_THINGS, *classes.COCO_STUFF)
    return Dataset("coco-stuff", texts, _pixels(pairs, table(numbers)))


def coco_object(root: Path) -> Dataset:
    """COCO's 5,000 validation images with 80 kinds of things, all else background; drawn from the instances' outlines.

    Where things overlap the smaller one is in front.
    """
    known = {text: label for label, text in enumerate(classes.COCO_THINGS, start=1)}

    def truth(annotated: Annotated, size: tuple[int, int]) -> Labels:
        if annotated.size != size:
            raise BagError(f"{annotated.name}: expected the image's size {annotated.size}, got {size}")
        labels = np.zeros(size, np.int16)
        drawn = [(each.mask, known[each.query]) for each in annotated.read() if each.mask is not None]
        for mask, label in sorted(drawn, key=lambda each: -int(each[0].sum())):
            labels[mask] = label
        return labels

    file = root / "annotations/instances_val2017.json"
    found = coco(file)
    strange = sorted({each.query for annotated in found for each in annotated.read()} - set(known))
    if strange:
        raise BagError(f"{file}: expected the 80 categories of COCO, got {strange[0]!r}")
    samples = [
        Sample(Path(each.name).stem, partial(read_picture, root / "val2017" / each.name), partial(truth, each))
        for each in found
    ]
    return Dataset("coco-object", classes.COCO_THINGS, samples, background=True)


def tabletop(root: Path) -> Dataset:
    """A recording with ``truth.json`` that has masks, such as the sample recording; all else is background."""
    known = load_truth(root)
    types = bag.topics(root)
    topic = find_topics(types).image
    decoder = decode.image if types[topic] == IMAGE else decode.compressed_image
    messages = {each.stamp: each for each in bag.messages(root, {topic}) if each.stamp in known.frames}
    if not messages:
        raise BagError(f"{root}: expected images on {topic} with stamps of truth.json, got none")
    label = {query: number for number, query in enumerate(known.queries, start=1)}

    def truth(seen: Sequence[Sighting], size: tuple[int, int]) -> Labels:
        labels = np.zeros(size, np.int16)
        for each in seen:
            labels[each.region(size)] = label[each.query]
        return labels

    samples = [
        Sample(str(stamp), partial(_decoded, decoder, message), partial(truth, known.frames[stamp]))
        for stamp, message in messages.items()
    ]
    return Dataset("tabletop", known.queries, samples, background=True)


LAYOUTS: Mapping[str, Callable[[Path], Dataset]] = {
    "voc": voc,
    "voc20": voc20,
    "context": context,
    "context60": context60,
    "ade20k": ade20k,
    "coco-object": coco_object,
    "coco-stuff": coco_stuff,
    "cityscapes": cityscapes,
    "openimages-points": openimages,
    "tabletop": tabletop,
}
# Where each can be had, and which folder --root is.
SOURCES = {
    "voc": "host.robots.ox.ac.uk/pascal/VOC/voc2012: VOCtrainval_11-May-2012.tar; --root is VOCdevkit/VOC2012",
    "context": "cs.stanford.edu/~roozbeh/pascal-context with VOC 2010's images, labels made into PNGs as "
    "MMSegmentation's documentation says; --root is VOCdevkit/VOC2010",
    "ade20k": "data.csail.mit.edu/places/ADEchallenge: ADEChallengeData2016.zip; --root is ADEChallengeData2016",
    "coco-object": "cocodataset.org: val2017.zip and annotations_trainval2017.zip; --root holds both folders",
    "coco-stuff": "cocodataset.org: val2017.zip, and stuffthingmaps_trainval2017.zip of "
    "github.com/nightrome/cocostuff, unpacked into stuffthingmaps; --root holds both folders",
    "cityscapes": "cityscapes-dataset.com (after registration): leftImg8bit_trainvaltest.zip and "
    "gtFine_trainvaltest.zip; --root holds both folders",
    "openimages-points": "storage.googleapis.com/openimages/web: the V7 validation images into validation/, "
    "oidv7-val-annotations-point-labels.csv and oidv7-class-descriptions.csv beside it",
    "tabletop": "a recording with truth.json (docs/truth.md); data/tabletop comes with gem_ros",
}
SOURCES |= {"voc20": SOURCES["voc"], "context60": SOURCES["context"]}


def open_dataset(name: str, root: Path) -> Dataset:
    """The data set ``name`` in the folder ``root``; :class:`BagError` says what is missing, and where to get it."""
    if name not in LAYOUTS:
        raise BagError(f"--dataset: expected one of {', '.join(LAYOUTS)}; got {name!r}")
    try:
        if not root.is_dir():
            raise BagError(f"{root}: expected a folder, found none")
        found = LAYOUTS[name](root)
        if not found.samples:
            raise BagError(f"{root}: expected images of {name}, found none")
    except BagError as error:
        raise BagError(f"{error}; get it from {SOURCES[name]}") from error
    return found


def _decoded(decoder: Callable[[Any], Picture], message: bag.Record) -> Picture:
    return decoder(message.decode())


def _names(file: Path) -> Iterator[str]:
    try:
        return iter([line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()])
    except (OSError, UnicodeDecodeError) as error:
        raise BagError(f"{file}: expected the validation images' names, found none") from error


def _glob(root: Path, pattern: str) -> list[Path]:
    found = sorted(root.glob(pattern))
    if not found:
        raise BagError(f"{root / pattern}: expected labels, found none")
    return found


def _pixels(pairs: Sequence[tuple[Path, Path]], numbers: npt.NDArray[np.int16]) -> list[Sample]:
    def sample(image: Path, labels: Path) -> Sample:
        return Sample(image.stem, lambda: read_picture(image), lambda size: read_labels(labels, size, numbers))

    missing = [each for pair in pairs for each in pair if not each.is_file()]
    if missing:
        raise BagError(f"{missing[0]}: expected a file, found none ({len(missing)} are missing)")
    return [sample(*pair) for pair in pairs]


def _without_background(sample: Sample) -> Sample:
    def truth(size: tuple[int, int]) -> Labels:
        labels = sample.truth(size)
        assert isinstance(labels, np.ndarray)  # of pixels
        return np.where(labels > 0, labels - 1, np.int16(-1)).astype(np.int16)

    return Sample(sample.name, sample.rgb, truth)
