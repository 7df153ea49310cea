"""Every method's formulas once more, as plainly as can be: NumPy in float64, one image, one head at a time.

Nothing of gem_ros is imported. ``weights`` are a vision tower's parameters by open_clip's names, ``image`` is
(3, H, W); results are unit-norm patch embeddings (h·w, D).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F


class Tower:
    """A CLIP vision transformer with exact GELU, or QuickGELU."""

    def __init__(self, weights, heads, patch, grid, quick=False):
        self.weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.heads, self.patch, self.grid, self.quick = heads, patch, grid, quick
        self.depth = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("transformer"))

    def get(self, name, block=None):
        return self.weights[name if block is None else f"transformer.resblocks.{block}.{name}"]

    def linear(self, x, name, block):
        return x @ self.get(f"{name}.weight", block).T + self.get(f"{name}.bias", block)

    def norm(self, x, name, block=None):
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * self.get(f"{name}.weight", block) + self.get(f"{name}.bias", block)

    def embed(self, image):
        """(3, H, W) -> x (1 + h·w, C)."""
        rows, columns = image.shape[1] // self.patch, image.shape[2] // self.patch
        kernel, tokens = self.get("conv1.weight"), [self.get("class_embedding")]
        for i in range(rows):
            for j in range(columns):
                piece = image[:, i * self.patch : (i + 1) * self.patch, j * self.patch : (j + 1) * self.patch]
                tokens.append(np.array([(piece * each).sum() for each in kernel]))
        return self.norm(np.array(tokens) + self.position(rows, columns), "ln_pre")

    def position(self, rows, columns):
        table = self.get("positional_embedding")
        picture = torch.tensor(table[1:]).reshape(*self.grid, -1).permute(2, 0, 1)[None]
        if (rows, columns) != tuple(self.grid):
            picture = F.interpolate(picture, size=(rows, columns), mode="bicubic", antialias=True)
        return np.concatenate([table[:1], picture[0].flatten(1).T.numpy()])

    def qkv(self, x, block):
        """ln_1(x) and, one for each head, q, k and v (N, d)."""
        h = self.norm(x, "ln_1", block)
        every = h @ self.get("attn.in_proj_weight", block).T + self.get("attn.in_proj_bias", block)
        return h, *([*np.split(part, self.heads, axis=1)] for part in np.split(every, 3, axis=1))

    def out(self, heads, block):
        return self.linear(np.concatenate(heads, axis=1), "attn.out_proj", block)

    def mlp(self, x, block):
        hidden = self.linear(self.norm(x, "ln_2", block), "mlp.c_fc", block)
        if self.quick:
            hidden = hidden / (1 + np.exp(-1.702 * hidden))
        else:
            hidden = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
        return x + self.linear(hidden, "mlp.c_proj", block)

    def original(self, x, block):
        _, qs, ks, vs = self.qkv(x, block)
        heads = [attention(q, k) @ v for q, k, v in zip(qs, ks, vs, strict=True)]
        return self.mlp(x + self.out(heads, block), block)

    def before(self, image, block):
        """What comes to a block of the original path."""
        x = self.embed(image)
        for each in range(block):
            x = self.original(x, each)
        return x

    def finish(self, x):
        return unit(self.norm(x, "ln_post") @ self.get("proj"))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def attention(a, b, bias=0.0):
    return softmax(a @ b.T / math.sqrt(a.shape[1]) + bias)


def clip(tower, image):
    return tower.finish(tower.before(image, tower.depth)[1:])


def image_embedding(tower, image):
    """CLS of the original path, (D,)."""
    return tower.finish(tower.before(image, tower.depth)[0])


def last_attention(tower, image, weights, *, kept=False):
    """O(W v) of the last block, ``weights`` of q and k for each head; ``kept``: with residual and MLP."""
    last = tower.depth - 1
    x = tower.before(image, last)
    _, qs, ks, vs = tower.qkv(x, last)
    made = tower.out([weights(q, k) @ v for q, k, v in zip(qs, ks, vs, strict=True)], last)
    return tower.finish((tower.mlp(x + made, last) if kept else made)[1:])


def maskclip(tower, image):
    return last_attention(tower, image, lambda q, k: np.eye(len(q)))


def clearclip(tower, image):
    return last_attention(tower, image, lambda q, k: attention(q, q))


def sclip(tower, image):
    return last_attention(tower, image, lambda q, k: attention(q, q) + attention(k, k), kept=True)


def naclip(tower, image, sigma=5.0):
    columns = image.shape[2] // tower.patch

    def weights(q, k):
        window = np.zeros((len(k), len(k)))
        for one in range(len(k) - 1):
            for other in range(len(k) - 1):
                apart = (one // columns - other // columns) ** 2 + (one % columns - other % columns) ** 2
                window[1 + one, 1 + other] = math.exp(-apart / (2 * sigma**2))
        return attention(k, k, window)

    return last_attention(tower, image, weights)


def second_path(tower, image, blocks, mix):
    """x' += O(mix) in the last blocks, ``mix`` of h, q, k and v of one head."""
    start = tower.depth - blocks
    x = dense = tower.before(image, start)
    for block in range(start, tower.depth):
        h, qs, ks, vs = tower.qkv(x, block)
        dense = dense + tower.out([mix(h, q, k, v) for q, k, v in zip(qs, ks, vs, strict=True)], block)
        x = tower.original(x, block)
    return tower.finish(dense[1:])


def clip_surgery(tower, image, blocks=6):
    return second_path(tower, image, blocks, lambda h, q, k, v: attention(v, v) @ v)


def gem(tower, image, blocks=6, iterations=1, inv_temperature=None, *, projections="qkv", normalise=True):
    def mix(h, q, k, v):
        inverse = inv_temperature
        if inverse is None:
            inverse = (np.linalg.norm(h, axis=1).mean() if normalise else 1.0) / math.sqrt(q.shape[1])
        hat = unit if normalise else np.asarray
        mixed = []
        for name in projections:
            s = {"q": q, "k": k, "v": v}[name]
            for _ in range(iterations):
                s = softmax(hat(s) @ hat(s).T * inverse) @ hat(s)
            mixed.append(softmax(hat(s) @ hat(s).T * inverse) @ v)
        return sum(mixed) / len(mixed)

    return second_path(tower, image, blocks, mix)


def sc_clip(tower, image):
    grid = image.shape[1] // tower.patch, image.shape[2] // tower.patch
    layers = {number: tower.before(image, number) for number in range(1, tower.depth)}
    nine, four, ten = (min(max(round(each * tower.depth / 12), 1), tower.depth - 1) for each in (9, 4, 10))
    penultimate = layers[tower.depth - 1]
    outliers = local_outliers(penultimate[1:])
    deep = unit(repaired(layers[nine][1:], outliers, grid))
    shallow = unit(layers[four][1:])
    likeness, regions = deep @ deep.T, gathering(shallow @ shallow.T)
    mended = gathering(likeness) @ repaired(penultimate[1:], outliers, grid)
    several = sum(layers[number] for number in range(four, ten + 1))
    result = 0.0
    for patches, cls in ((mended, penultimate[0]), (several[1:], several[0])):
        _, _, ks, vs = tower.qkv(patches, tower.depth - 1)
        logits = 3 * (likeness - likeness.mean())
        logits[logits < 0] = -np.inf
        heads = [(softmax(logits) + attention(k, k)) / 2 @ v for k, v in zip(ks, vs, strict=True)]
        result = result + regions @ (tower.out(heads, tower.depth - 1) + 0.3 * cls)
    return tower.finish(result)


def gathering(likeness):
    alike = np.where(likeness >= 0.4, likeness, 0)
    return alike / (alike.sum(axis=1, keepdims=True) + 1e-6)


def local_outliers(x):
    """Indices of the 5 % of x (n, C) whose neighbours lie most densely compared with themselves."""
    k = min(30, len(x) // 2)
    neighbours, reach = [], []
    for each in x:
        distances = ((x - each) ** 2).sum(axis=1)
        order = np.argsort(distances)[1 : k + 1]
        neighbours.append(order)
        reach.append(distances[order[-1]])
    density = 1 / np.array(reach)
    factors = np.array([density[order].mean() / own for order, own in zip(neighbours, density, strict=True)])
    return set(np.flatnonzero(factors > np.quantile(factors, 0.95)))


def repaired(patches, outliers, grid):
    result = patches.copy()
    for index in outliers:
        row, column = divmod(index, grid[1])
        around = [
            patches[i * grid[1] + j]
            for i in range(max(row - 1, 0), min(row + 2, grid[0]))
            for j in range(max(column - 1, 0), min(column + 2, grid[1]))
            if i * grid[1] + j not in outliers
        ]
        if around:
            result[index] = np.mean(around, axis=0)
    return result


def feature_surgery(features, image, texts):
    """Features (n, D), CLS (D,) and texts (T, D) -> similarities (n, T), element by element as published."""
    weight = softmax(2 * image @ texts.T)
    weight = weight / weight.mean()
    elements = features[:, None] * texts[None] * weight[None, :, None]
    return (elements - elements.mean(axis=1, keepdims=True)).sum(axis=2)


def pamr(image, maps, iterations=10, dilations=(8, 16)):
    """PAMR of an image (H, W, 3) and maps (Q, H, W), pixel by pixel; outside the image is its nearest pixel."""
    height, width, _ = image.shape
    image, maps = image.astype(np.float64), maps.astype(np.float64)

    def at(row, column):
        return min(max(row, 0), height - 1), min(max(column, 0), width - 1)

    affinity, places = {}, {}
    for row in range(height):
        for column in range(width):
            around = [at(row + d * i, column + d * j) for d in dilations for i in (-1, 0, 1) for j in (-1, 0, 1)]
            colours = np.array([image[place] for place in around])
            spread = colours.std(axis=0, ddof=1)
            others = [index for index in range(len(around)) if index % 9 != 4]
            apart = np.abs(image[row, column] - colours[others])
            places[row, column] = [around[index] for index in others]
            affinity[row, column] = softmax((-apart / (1e-8 + 0.1 * spread)).mean(axis=1))
    for _ in range(iterations):
        after = np.empty_like(maps)
        for place, weights in affinity.items():
            after[(slice(None), *place)] = sum(
                weight * maps[(slice(None), *other)] for weight, other in zip(weights, places[place], strict=True)
            )
        maps = after
    return maps
