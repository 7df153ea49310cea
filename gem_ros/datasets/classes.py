"""Names of the open benchmarks' classes, in the order of their label files; texts that are asked of the model.

The names are the data sets' own, written as one would say them: ``diningtable`` is "dining table", and the suffixes
``-other`` and ``-stuff`` of COCO-Stuff are left out.
"""

from __future__ import annotations


def _listed(text: str) -> tuple[str, ...]:
    return tuple(" ".join(each.split()) for each in text.split(","))


VOC = _listed(
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, motorbike, person,"
    "potted plant, sheep, sofa, train, tv monitor"
)
CONTEXT = _listed(
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse, motorbike, person,"
    "potted plant, sheep, sofa, train, tv monitor, bag, bed, bench, book, building, cabinet, ceiling, cloth, computer,"
    "cup, door, fence, floor, flower, food, grass, ground, keyboard, light, mountain, mouse, curtain, platform, sign,"
    "plate, road, rock, shelves, sidewalk, sky, snow, bedclothes, track, tree, truck, wall, water, window, wood"
)
ADE20K = _listed(
    "wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,"
    "table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field,"
    "armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard,"
    "chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway,"
    "case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower,"
    "book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine,"
    "hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth, television receiver, airplane,"
    "dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,"
    "fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag,"
    "minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher,"
    "screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,"
    "monitor, bulletin board, shower, radiator, glass, clock, flag"
)
CITYSCAPES = _listed(
    "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky, person,"
    "rider, car, truck, bus, train, motorcycle, bicycle"
)
# Of the 33 numbers in Cityscapes' labelIds, those that count, in the order above.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

COCO_THINGS = _listed(
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,"
    "parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,"
    "handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,"
    "surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,"
    "broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,"
    "mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,"
    "teddy bear, hair drier, toothbrush"
)
COCO_STUFF = _listed(
    "banner, blanket, branch, bridge, building, bush, cabinet, cage, cardboard, carpet, ceiling, tile ceiling, cloth,"
    "clothes, clouds, counter, cupboard, curtain, desk, dirt, door, fence, marble floor, floor, stone floor,"
    "tile floor, wood floor, flower, fog, food, fruit, furniture, grass, gravel, ground, hill, house, leaves, light,"
    "mat, metal, mirror, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant, plastic, platform,"
    "playing field, railing, railroad, river, road, rock, roof, rug, salad, sand, sea, shelf, sky, skyscraper, snow,"
    "solid, stairs, stone, straw, structure, table, tent, textile, towel, tree, vegetable, brick wall, concrete wall,"
    "wall, wall panel, stone wall, tile wall, wood wall, water, waterdrops, window blind, window, wood"
)
# COCO's numbers of things go to 90 and leave out ten; those of stuff follow from 92 to 182.
COCO_MISSING = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
COCO_IDS = tuple(number for number in range(1, 183) if number not in COCO_MISSING)
