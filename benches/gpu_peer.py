#!/usr/bin/env python3
"""The training step of PLE and of DUIA in PyTorch, to stand beside `duia bench` in one table.

    python3 benches/gpu_peer.py --out runs/bench            # the first CUDA card, else the CPU
    python3 benches/gpu_peer.py --smoke --device cpu        # a minute's worth

It writes <out>/<label>.json in the format of `duia bench`; `duia bench --table --out FOLDER` makes the table.

The model is that of src/model: one embedding table with a row-sparse lazy Adam in the same form (a row is weights and both moments;
the host finds the rows that a batch touches), target attention over the window, PLE in the same stacked products, the auxiliary towers,
UIE, UPBE and UHSE with their gates, norms, fits and attention over centres, the centres' mean step, the memories and the item assignments, Adam on the dense parameters (PyTorch's
fused one). Sizes, batches' shapes and distributions are the same.

Four ways: eager, and torch.compile of the step's two halves (`compile`); and on a card each of them once more with the whole step as
one CUDA graph (`graph`), Adam's step count on the device, so that every replay is a real step.

What differs from duia, all of it in PyTorch's favour but the first: sums of rows use index_add_ (atomics on a GPU: another order of
summing every time) where duia's kernels walk in order; dead centres are never re-seeded; the dropout of enhancement
vectors (A24) is drawn once for each batch, outside the timing; losses of the memories are not computed.
"""
import argparse
import datetime
import json
import os
import platform
import re
import sys
import threading
import time

import numpy as np
import torch
import torch.nn.functional as F

SIZES = {
    "browser": dict(users=2_000, items=8_400, categories=200, embedding=16, specific=1, shared=1, expert=((64,), (32,)), tower=(16,),
                    auxiliary=(32, 16), centres=32, children=4, item_centres=64, item_children=4, std=0.1, rate=3e-3),
    "paper": dict(users=1_000_000, items=4_160_000, categories=9_439, embedding=32, specific=2, shared=2, expert=((256, 128), (128, 64)),
                  tower=(64, 32), auxiliary=(256, 128, 64), centres=512, children=10, item_centres=2_048, item_children=10, std=0.01,
                  rate=1e-3),
}
HISTORY, ACTIVITY, COUNTS, TASKS = 50, 16, 4, 2
RHO = LAMBDA = ETA = 0.05
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
DROPOUT = 0.6


def zipf(uniform, n):
    """Ids below n in proportion to 1 / (id + 1)."""
    return np.minimum(np.maximum(np.exp(uniform * np.log(n + 1)).astype(np.int64), 1) - 1, n - 1)


def draw(s, batch, seed, device):
    """A batch as src/cli/bench/batches.rs draws it, with the rows that it touches planned by the host."""
    r, n = np.random.default_rng(seed), batch // 2
    of_item = lambda ids: zipf((ids * 2654435761 % 2**32) / 2**32, s["categories"])
    first_category, first_user = s["items"], s["items"] + s["categories"]
    first_activity = first_user + s["users"]
    known = r.integers(0, HISTORY + 1, n)
    place = np.arange(HISTORY) < known[:, None]
    history = np.where(place, zipf(r.random((n, HISTORY)), s["items"]), 0)
    user, activity = r.integers(0, s["users"], n), np.minimum(np.frexp(known)[1], ACTIVITY - 1)
    item = np.stack([zipf(r.random(n), s["items"]), r.integers(0, s["items"], n)], 1).reshape(-1)
    category = of_item(item)
    # The leaves: item and category of a sample; user, activity, newest item and newest category of a request.
    has = place[:, 0]
    fields = np.concatenate([item, first_category + category, first_user + user, first_activity + activity, history[:, 0],
                             first_category + of_item(history[:, 0]), history.reshape(-1), first_category + of_item(history).reshape(-1)])
    weight = np.concatenate([np.ones(2 * batch + 2 * n), has, has, place.reshape(-1), place.reshape(-1)]).astype(np.float32)
    kinds = np.eye(COUNTS, dtype=np.float32)[r.integers(0, COUNTS, (n, HISTORY))] * place[..., None]
    rows, inverse = np.unique(fields[weight > 0], return_inverse=True)
    place_of = np.zeros(len(fields), np.int64)
    place_of[weight > 0] = inverse
    padded = -(-len(fields) // 512) * 512  # One shape for every batch: a graph's shapes never change.
    touched = np.full(padded, first_activity + ACTIVITY)  # Padding goes to one row more than the table has ids for.
    touched[:len(rows)] = rows
    users, of_user = np.unique(user, return_inverse=True)
    own = np.full(n, s["users"])
    own[:len(users)] = users
    labels = np.zeros((TASKS, batch), np.float32)
    labels[0, ::2], labels[1, ::2] = 1, r.random(n) < 0.1
    t = lambda a, kind=None: torch.as_tensor(a, dtype=kind).to(device)
    return {
        "touched": t(touched), "place": t(place_of), "weight": t(weight)[:, None], "own": t(own), "of_user": t(of_user),
        "user": t(user), "consumed": t(item[::2].copy()), "history": t(history),
        "mask": t(place), "kinds": t(kinds),
        "counts": t(r.random((n, COUNTS)), torch.float32), "labels": t(labels)[..., None],
        "clustered": t((r.random(n) < 0.3).astype(np.float32)), "kept": t((r.random((n, 1)) >= DROPOUT).astype(np.float32)),
    }


class Peer:
    """Parameters, tables and memories of PLE or DUIA, and one step of them. Everything is updated in place."""

    def __init__(self, s, duia, device):
        self.s, self.duia, self.device = s, duia, device
        self.e, self.m, self.spe = s["embedding"], s["auxiliary"][-1], s["specific"]
        self.experts, self.generator = TASKS * s["specific"] + s["shared"], torch.Generator(device=device).manual_seed(7)
        rows = s["items"] + s["categories"] + s["users"] + ACTIVITY + 1
        self.table = self.row_table(rows, self.e, s["std"])
        self.dense = {}
        e, m, k = self.e, self.m, self.experts
        request, candidate = 4 * e + COUNTS, 2 * e + 2 * e + 2
        self.attention("history", 1, 2 * e)
        if duia:
            self.attention("uhse", 2, m)
            self.personal = self.row_table(s["users"] + 1, m, 0.01)
            self.perceptron("user", 1, 4 * e + COUNTS, s["auxiliary"])
            self.perceptron("item", 1, 2 * e, s["auxiliary"])
            self.linear("gate.hidden", 4, 2 * m, m)
            self.linear("gate.out", 4, m, m, 0.01)
            self.dense["scale"] = torch.full((4, 1, m + 1), 0.05, device=device)
            self.dense["item.scale"] = torch.full((2, 1, m), 0.05, device=device)
            request, candidate = request + 4 * m + 2, candidate + 4 + 2 * m + 2
            self.user_centres, self.user_hits, self.user_mean = self.memory(s["centres"], s["children"])
            self.item_centres, self.item_hits, self.item_mean = self.memory(s["item_centres"], s["item_children"])
            self.behaviours = torch.zeros(s["users"] + 1, 2 * m + 1, device=device)
            self.behaviour_mean = torch.zeros(1, 2 * m, device=device)
            self.assignments = torch.zeros(s["items"], 2, device=device)
            self.assignments[:, 1] = -1
            self.born = torch.zeros(s["item_centres"] * s["item_children"], device=device)
            self.mean_enhanced, self.other_mean = torch.zeros(4, 1, m, device=device), torch.zeros(1, m, device=device)
            self.mean_plain = torch.zeros(2, 1, m, device=device)
        widths = s["expert"]
        joint = k * widths[0][0] + 3 * k
        for name, inputs in (("joint.request", request), ("joint.candidate", candidate)):
            self.dense[name] = self.normal((inputs, joint), (2 / (request + candidate + widths[0][0])) ** 0.5)
        self.dense["joint.bias"] = torch.zeros(1, joint, device=device)
        self.perceptron("experts.0", k, widths[0][0], widths[0][1:])
        self.perceptron("experts.1", k, widths[0][-1], widths[1])
        self.linear("gates.1", TASKS, widths[0][-1], k)
        self.perceptron("towers", TASKS, widths[1][-1], s["tower"] + (1,))
        sees = lambda stream, expert: stream == TASKS or expert // self.spe == stream or expert >= TASKS * self.spe
        hidden = torch.tensor([[0.0 if sees(i, j) else -1e9 for j in range(k)] for i in range(TASKS + 1)], device=device)
        self.mask_0, self.mask_1 = hidden[None], hidden[:TASKS, None]
        for parameter in self.dense.values():
            parameter.requires_grad_()
        cuda = device.type == "cuda"
        self.adam = torch.optim.Adam(list(self.dense.values()), lr=s["rate"], eps=EPSILON, fused=cuda, capturable=cuda)
        self.steps = torch.zeros((), device=device)

    def normal(self, shape, std):
        return torch.randn(shape, device=self.device, generator=self.generator) * std

    def row_table(self, rows, width, std):
        table = torch.zeros(rows, 3 * width, device=self.device)
        table[:, :width] = self.normal((rows, width), std)
        return table

    def linear(self, name, stack, inputs, outputs, std=None):
        self.dense[f"{name}.weight"] = self.normal((stack, inputs, outputs), std or (2 / (inputs + outputs)) ** 0.5)
        self.dense[f"{name}.bias"] = torch.zeros(stack, 1, outputs, device=self.device)

    def perceptron(self, name, stack, inputs, widths):
        for depth, width in enumerate(widths):
            self.linear(f"{name}.{depth}", stack, inputs, width)
            inputs = width

    def attention(self, name, stack, width):
        """Target attention: the query, and what the place and the kind of a behaviour add to its logit."""
        near_identity = 16 * torch.eye(width, device=self.device) + self.normal((stack, width, width), 0.01)
        self.dense[f"{name}.query.weight"] = near_identity
        self.dense[f"{name}.query.bias"] = torch.zeros(stack, 1, width, device=self.device)
        self.dense[f"{name}.places"] = torch.zeros(stack, 1, HISTORY, device=self.device)
        self.dense[f"{name}.kinds"] = self.normal((stack, COUNTS, 1), 0.01)

    def memory(self, first, children):
        """Two levels of centres, found in random vectors: a filled memory."""
        rows = first * (1 + children)
        return self.normal((rows, self.m), 0.3), torch.zeros(rows, device=self.device), torch.zeros(1, self.m, device=self.device)

    # ------------------------------------------------------------------ forward

    def apply_linear(self, name, x):
        return torch.baddbmm(self.dense[f"{name}.bias"], x, self.dense[f"{name}.weight"])

    def apply_perceptron(self, name, x, depths, activate_last):
        for depth in range(depths):
            x = self.apply_linear(f"{name}.{depth}", x)
            if activate_last or depth + 1 < depths:
                x = F.relu(x)
        return x

    def read(self, name, candidates, behaviours, mask, kinds):
        """What candidates [stack, samples, d] read in windows [stack, n, slots, d]; nothing where a window is empty."""
        stack, samples, d = candidates.shape
        n = mask.shape[-2]
        bias = (kinds[None] @ self.dense[f"{name}.kinds"][:, None])[..., 0] + self.dense[f"{name}.places"]
        queries = self.apply_linear(f"{name}.query", candidates).view(stack, n, 2, d) * d ** -0.5
        logits = torch.einsum("lncd,lnsd->lncs", queries, behaviours) + bias[:, :, None]
        hidden = ~mask.expand(stack, n, HISTORY)[:, :, None]
        weights = torch.softmax(logits.masked_fill(hidden, -1e9), 3).masked_fill(hidden, 0.0)
        return torch.einsum("lncs,lnsd->lncd", weights, behaviours).reshape(stack, samples, d)

    def ple(self, request, candidate):
        (n, _), (samples, _), k = request.shape, candidate.shape, self.experts
        of_request = torch.addmm(self.dense["joint.bias"], request, self.dense["joint.request"])
        joint = (candidate @ self.dense["joint.candidate"]).view(n, 2, -1) + of_request[:, None]
        joint = joint.view(samples, -1)
        split = joint.shape[1] - (TASKS + 1) * k
        first = F.relu(joint[:, :split]).view(samples, k, -1)
        gates = torch.softmax(joint[:, split:].view(samples, TASKS + 1, k) + self.mask_0, 2)
        first = self.apply_perceptron("experts.0", first.transpose(0, 1), len(self.s["expert"][0]) - 1, True)
        streams = torch.einsum("sgk,ksw->gsw", gates, first)
        repeated = torch.cat([streams[i:i + 1].expand(self.spe if i < TASKS else self.s["shared"], -1, -1) for i in range(TASKS + 1)])
        experts = self.apply_perceptron("experts.1", repeated, len(self.s["expert"][1]), True)
        gates = torch.softmax(self.apply_linear("gates.1", streams[:TASKS]) + self.mask_1, 2)
        streams = torch.einsum("gsk,ksw->gsw", gates, experts)
        return self.apply_perceptron("towers", streams, len(self.s["tower"]) + 1, False)

    def nearest(self, seen, centres, mean, first, children):
        """The most similar centre by cosine and the most similar of its children: rows of both."""
        seen_centres = centres - mean
        unit = seen_centres * torch.rsqrt((seen_centres * seen_centres).sum(1, keepdim=True) + 1e-12)
        parent = (seen @ unit[:first].T).argmax(1)
        of_parent = unit[first:].view(first, children, -1)[parent]
        child = parent * children + torch.einsum("ncm,nm->nc", of_parent, seen).argmax(1)
        return parent, child

    def looked_at(self):
        seen = self.item_centres - self.item_mean
        return seen * torch.rsqrt((seen * seen).mean(1, keepdim=True) + 1e-12)

    def rms_norm(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)

    def features(self, b, leaves, counts):
        """What DUIA adds to a request and to a candidate, and what its memories learn from."""
        s, m = self.s, self.m
        item, category, user, activity = leaves[:4]
        with torch.no_grad():
            weights = b["mask"].to(torch.float32)[..., None]
            history = (leaves[7].detach() * weights).sum(1) / weights.sum(1).clamp_min(1)
        of_user = torch.cat([user.detach(), activity.detach(), history, counts], 1)
        v_user = self.apply_perceptron("user", of_user[None], len(s["auxiliary"]), False)[0]
        v_item = self.apply_perceptron("item", torch.cat([item, category], 1).detach()[None], len(s["auxiliary"]), False)[0]
        # Copies: a compiled function may not give two names to one output.
        vu, vi, n = v_user.detach().clone(), v_item.detach().clone(), len(b["user"])
        with torch.no_grad():
            parent, child = self.nearest(vu - self.user_mean, self.user_centres, self.user_mean, s["centres"], s["children"])
            mu = self.user_centres[torch.stack([parent, s["centres"] + child])]
            negative = ((mu - self.user_mean) * (vu - self.user_mean)).sum(2, keepdim=True) < 0
            stopped = negative.any(0)
            weighted = torch.sigmoid((mu * vu).sum(2, keepdim=True)) * mu * ~stopped
            row = self.behaviours[b["user"]]
            touches = row[:, 2 * m:]
            memory = (row[:, :2 * m] - self.behaviour_mean).view(n, 2, m).transpose(0, 1)
            own = mu - self.user_mean
            recalled = own + (memory - own) * (touches / (touches + 1))
            entries = self.assignments[b["history"]]
            of_history = entries[..., 0].long()
            valid = b["mask"] & (entries[..., 1] >= self.born[of_history])
            known = valid.any(1, keepdim=True)
            looked = self.looked_at()
            windows = looked[torch.stack([of_history // s["item_children"], s["item_centres"] + of_history])] * valid[..., None]
            item_parent, item_child = self.nearest(vi - self.item_mean, self.item_centres, self.item_mean, s["item_centres"],
                                                   s["item_children"])
            own_centres = looked[torch.stack([item_parent, s["item_centres"] + item_child])]
        plain = self.read("uhse", own_centres, windows, valid, b["kinds"])
        matches = (plain * own_centres).mean(2).T
        gated = torch.cat([weighted, recalled])
        z = torch.cat([gated, leaves[6].expand(4, -1, -1)], 2)
        delta = 2 * torch.sigmoid(self.apply_linear("gate.out", F.relu(self.apply_linear("gate.hidden", z))))
        enhanced = delta * gated
        with torch.no_grad():
            kept = b["kept"].repeat_interleave(2, 0)
            open_items = ((plain * plain).sum(2, keepdim=True) > 0).to(torch.float32)
            open_ = ((enhanced * enhanced).sum(2, keepdim=True) > 0).to(torch.float32)
            other = self.rms_norm(vi - self.other_mean)
        normed = self.rms_norm((enhanced - self.mean_enhanced) * (open_ * b["kept"]))
        fits = (normed.repeat_interleave(2, 1) * other).mean(2) * self.dense["scale"][:, :, m]
        vectors = (normed * self.dense["scale"][:, :, :m]).transpose(0, 1).reshape(n, 4 * m)
        request = torch.cat([vectors, stopped.to(torch.float32), known.to(torch.float32)], 1)
        of_items = self.rms_norm((plain - self.mean_plain) * (open_items * kept)) * self.dense["item.scale"]
        of_items = of_items.transpose(0, 1).reshape(2 * n, 2 * m)
        seen = dict(v_user=v_user, v_item=v_item, vu=vu, vi=vi, users=(parent, child), items=(item_parent, item_child), enhanced=enhanced.detach(),
                    open=open_, plain=plain.detach(), open_items=open_items)
        return request, torch.cat([fits.T, of_items, matches], 1), seen

    def loss(self, b, rows, personal):
        samples, n, e = b["labels"].shape[1], len(b["user"]), self.e
        pooled = rows[b["place"], :e] * b["weight"]
        parts = list(pooled.split([samples, samples, n, n, n, n, n * HISTORY, n * HISTORY]))
        leaves, (items, categories) = parts[:6], parts[6:]
        request, candidate = torch.cat(leaves[2:6] + [b["counts"]], 1), torch.cat(leaves[:2], 1)
        behaviours = torch.cat([items.view(n, HISTORY, e), categories.view(n, HISTORY, e)], 2)
        read = self.read("history", candidate[None], behaviours[None], b["mask"], b["kinds"])[0]
        candidate = torch.cat([candidate, read, (read * candidate).view(samples, 2, e).sum(2)], 1)
        if self.duia:
            leaves += [personal[b["of_user"]], behaviours]
        seen = None
        if self.duia:
            more_request, more_candidate, seen = self.features(b, leaves, b["counts"])
            request, candidate = torch.cat([request, more_request], 1), torch.cat([candidate, more_candidate], 1)
        logits = self.ple(request, candidate)
        loss = F.binary_cross_entropy_with_logits(logits, b["labels"]) * TASKS
        if self.duia:
            v_user, v_item = seen.pop("v_user"), seen.pop("v_item")
            score = (v_user.repeat_interleave(2, 0) * v_item).sum(1, keepdim=True).clamp(-15, 15)
            label = b["labels"][0]
            weight = 1 + torch.sigmoid(torch.sigmoid(logits.detach()).sum(0))
            loss = loss + F.binary_cross_entropy_with_logits(score, label, weight=label * weight + 1 - label)
        return loss, seen

    # ------------------------------------------------------------------ updates, in place

    def adam_rows(self, table, touched, gathered, gradient):
        """One step of lazy Adam on the touched rows. The last row of a table takes the padding's part and is never read."""
        width = gradient.shape[1]
        moment = BETA_1 * gathered[:, width:2 * width] + (1 - BETA_1) * gradient
        square = BETA_2 * gathered[:, 2 * width:] + (1 - BETA_2) * gradient * gradient
        c1, c2 = 1 / (1 - BETA_1 ** self.steps), 1 / (1 - BETA_2 ** self.steps)
        weights = gathered[:, :width] - self.s["rate"] * (moment * c1) / ((square * c2).sqrt() + EPSILON)
        table.index_copy_(0, touched, torch.cat([weights, moment, square], 1))

    def pull(self, centres, hits, mean, v, chosen, first, weights, rate):
        """Eq. 4 and 5 as the mean step (A4), and the running mean."""
        rows = torch.cat([chosen[0], first + chosen[1]])
        both, weight = torch.cat([v, v]), torch.cat([weights, weights])[:, None]
        mu = centres[rows]
        sigma = torch.sigmoid((both * mu).sum(1, keepdim=True))
        towards = torch.zeros_like(centres).index_add_(0, rows, sigma * (both - mu) * weight)
        count = torch.zeros_like(hits).index_add_(0, rows, weight[:, 0])
        total = weights.sum()
        mean += (weights @ v - mean * total) / total.clamp_min(1) * 0.05
        hits += count
        centres += towards * rate / count.clamp_min(1)[:, None]

    def learn(self, b, seen):
        """The memories' own steps; every search is done before anything moves."""
        s, m, n = self.s, self.m, len(b["user"])
        vu, vi = seen["vu"], seen["vi"].view(n, 2, m)[:, 0]
        parent, child = self.nearest(vi - self.other_mean, self.user_centres, self.user_mean, s["centres"], s["children"])
        mu = self.user_centres[torch.stack([parent, s["centres"] + child], 1)]
        agrees = (((mu - self.user_mean) * (vu - self.user_mean)[:, None]).sum(2) >= 0).all(1)
        met = agrees.to(torch.float32)[:, None]
        self.pull(self.user_centres, self.user_hits, self.user_mean, vu, seen["users"], s["centres"], b["clustered"], 2 * RHO)
        item_parent, item_child = (ids.view(n, 2)[:, 0] for ids in seen["items"])
        self.pull(self.item_centres, self.item_hits, self.item_mean, vi, (item_parent, item_child), s["item_centres"],
                  torch.ones_like(b["clustered"]), 2 * ETA)
        self.assignments[b["consumed"]] = torch.stack([item_child.to(torch.float32), self.steps.expand(n)], 1)
        row = self.behaviours[b["user"]]
        memory, touches = row[:, :2 * m].view(n, 2, m), row[:, 2 * m:]
        away = mu - memory
        rate = torch.maximum(torch.sigmoid((mu * memory).sum(2)) * 2 * LAMBDA, 1 / (touches + 1))
        values = torch.cat([(away * rate[..., None]).reshape(n, 2 * m), torch.ones_like(touches)], 1) * met
        again = touches.clamp_max(1) * met
        total = again.sum()
        of_step = (row[:, :2 * m] * again).sum(0, keepdim=True) / total.clamp_min(1)
        self.behaviour_mean += (of_step - self.behaviour_mean) * total.clamp_max(1) * 0.05
        sums = torch.zeros(n, 2 * m + 1, device=self.device).index_add_(0, b["of_user"], values)
        counts = torch.zeros(n, 1, device=self.device).index_add_(0, b["of_user"], met)
        self.behaviours.index_add_(0, b["own"], sums / counts.clamp_min(1))
        count = seen["open"].sum(1, keepdim=True)
        of_batch = seen["enhanced"].sum(1, keepdim=True) / count.clamp_min(1)
        self.mean_enhanced += (of_batch - self.mean_enhanced) * count.clamp_max(1) * 0.05
        count = seen["open_items"].sum(1, keepdim=True)
        of_batch = seen["plain"].sum(1, keepdim=True) / count.clamp_min(1)
        self.mean_plain += (of_batch - self.mean_plain) * count.clamp_max(1) * 0.05
        self.other_mean += (seen["vi"].mean(0, keepdim=True) - self.other_mean) * 0.05

    def gradients(self, b):
        """Loss and gradients: the part that is compiled. The table's rows are leaves."""
        gathered = self.table[b["touched"]]
        rows = gathered[:, :self.e].clone().requires_grad_()
        own, personal = None, None
        if self.duia:
            own = self.personal[b["own"]]
            personal = own[:, :self.m].clone().requires_grad_()
        loss, seen = self.loss(b, rows, personal)
        wanted = list(self.dense.values()) + [rows] + ([personal] if self.duia else [])
        return gathered, own, torch.autograd.grad(loss, wanted), seen, loss.detach()

    def update(self, b, gathered, own, gradients, seen):
        with torch.no_grad():
            self.steps += 1
            dense = list(self.dense.values())
            for parameter, gradient in zip(dense, gradients):
                parameter.grad = gradient.contiguous()  # As the fused Adam wants it; compiled gradients may lie otherwise.
            self.adam_rows(self.table, b["touched"], gathered, gradients[len(dense)])
            if self.duia:
                self.adam_rows(self.personal, b["own"], own, gradients[len(dense) + 1])
                self.learn(b, seen)
        self.adam.step()

    def step(self, b):
        gathered, own, gradients, seen, loss = self.gradients(b)
        self.update(b, gathered, own, gradients, seen)
        return loss


def compiled(peer):
    """The step with its two halves compiled: the loss with its backward pass, and the updates but for the dense Adam."""
    torch._dynamo.reset()
    for name in ("loss", "learn", "adam_rows"):
        # One shape after the other: kernels for any shape are slower.
        setattr(peer, name, torch.compile(getattr(peer, name), dynamic=False))
    return peer.step


def graphed(peer, step, batches):
    """The step as one CUDA graph over a batch whose numbers are copied in before each replay."""
    fixed = {name: tensor.clone() for name, tensor in batches[0].items()}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(fixed)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(fixed)

    def replay(b):
        for name, tensor in b.items():
            fixed[name].copy_(tensor)
        graph.replay()

    return replay


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(step, batches, seconds, device):
    """Milliseconds a step: median and quartiles of rounds, as `duia bench` takes them."""
    pieces, times, begun, done = 1, [], time.perf_counter(), 0
    synchronize(device)
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        for _ in range(pieces):
            step(batches[done % len(batches)])
            done += 1
        synchronize(device)
        took = time.perf_counter() - start
        if took < 0.06:
            pieces = min(16 * pieces, max(pieces + 1, int(0.12 / max(took, 1e-6) * pieces) + 1))
            continue
        times.append(took * 1e3 / pieces)
        if time.perf_counter() - begun > 3 * max(seconds, 3):
            break
    return [float(np.quantile(times, q)) for q in (0.5, 0.25, 0.75)]


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return re.search(r"model name\s*:\s*(.*)", file.read()).group(1)
    except (OSError, AttributeError):
        return platform.machine()


class Record:
    """The file of results, written anew after each figure."""

    def __init__(self, arguments, device):
        self.path = os.path.join(arguments.out, re.sub(r"[^a-z0-9]+", "-", arguments.label.lower()).strip("-") + ".json")
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
        self.begun = self.said = time.perf_counter()
        threading.Thread(target=self.breathe, daemon=True).start()
        self.data = {
            "format": 1, "program": f"PyTorch {torch.__version__}", "label": arguments.label,
            "backend": f"CUDA {torch.version.cuda}" if device.type == "cuda" else "CPU", "device": name,
            "machine": {"processor": processor(), "threads": os.cpu_count() or 1, "cards": [], "system": platform.release()},
            "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "command": "gpu_peer.py " + " ".join(sys.argv[1:]),
            "results": [], "missing": [],
        }
        self.write()

    def say(self, text):
        self.said = time.perf_counter()
        print(f"[{self.said - self.begun:4.0f} s] {text}", file=sys.stderr, flush=True)

    def breathe(self):
        """Nothing is silent for more than two seconds, not even a compiler."""
        while True:
            time.sleep(0.5)
            if time.perf_counter() - self.said > 2:
                self.say("…")

    def write(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".part", "w") as file:
            json.dump(self.data, file, indent=2)
        os.replace(self.path + ".part", self.path)

    def found(self, sizes, **figures):
        self.data["results"].append({"sizes": sizes, "measured": "throughput", **figures})
        self.write()

    def missed(self, what, why):
        self.say(f"{what}: {why}")
        self.data["missing"].append({"what": what, "why": why})
        self.write()


def measure_case(record, case, peer, step, arguments, device):
    """One model at one batch, launched one kernel after the other and, on a card, as a graph."""
    mode, name, sizes, batch = case
    begun = time.perf_counter()
    batches = [draw(SIZES[sizes], batch, seed, device) for seed in range(2 if batch > 16_384 else 4)]
    losses = [float(step(batches[n % len(batches)])) for n in range(4)]
    if not np.isfinite(losses).all():
        raise ArithmeticError(f"losses {losses}")
    for way in [mode, f"{mode}, graph"] if device.type == "cuda" else [mode]:
        this = step if way == mode else graphed(peer, step, batches)
        first = time.perf_counter() - begun
        median, low, high = measure(this, batches, arguments.seconds, device)
        memory = [torch.cuda.memory_allocated(), torch.cuda.memory_reserved()] if device.type == "cuda" else None
        record.found(sizes, model=name, batch=batch, mode=way, samples_per_second=batch * 1e3 / median, step_ms=[median, low, high],
                     first_seconds=first, memory=memory)
        record.say(f"{way}, {sizes} sizes, {name}, batch {batch}: {batch * 1e3 / median:,.0f} samples/s ({median:.2f} ms a step), "
                   f"loss {losses[-1]:.3f}, first steps {first:.1f} s")


def run(record, arguments, device):
    end = record.begun + 60 * arguments.minutes
    for mode in arguments.modes:
        # Compiling takes half a minute for each shape: the two most interesting ones.
        batches = arguments.batches if mode == "eager" else arguments.batches[:2]
        for sizes in arguments.sizes:
            for name in arguments.models:
                peer = step = None
                for batch in batches:
                    what = f"{mode}, {sizes} sizes, {name}, batch {batch}"
                    if time.perf_counter() > end - (4 if mode == "eager" else 20):
                        record.missed(what, "no time was left")
                        continue
                    try:
                        if peer is None:
                            record.say(f"building {name} at {sizes} sizes")
                            peer = Peer(SIZES[sizes], name == "duia", device)
                            step = peer.step if mode == "eager" else compiled(peer)
                        measure_case(record, (mode, name, sizes, batch), peer, step, arguments, device)
                    except Exception as error:  # One case that fails must not take the others with it.
                        record.missed(what, f"{type(error).__name__}: {str(error)[:300]}")
                        peer = step = None
                    if device.type == "cuda":
                        torch.cuda.empty_cache()


def main():
    numbers = lambda text: [int(part) for part in text.split(",")]
    words = lambda text: text.split(",")
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", default="runs/bench", help="folder for <label>.json")
    a.add_argument("--label", default="PyTorch", help="what the table calls it")
    a.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a.add_argument("--minutes", type=float, default=3.0, help="what is measured by then is kept")
    a.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    a.add_argument("--sizes", type=words, default=["paper", "browser"])
    a.add_argument("--models", type=words, default=["duia", "ple"])
    a.add_argument("--batches", type=numbers, default=[16384, 4096, 65536, 512])
    a.add_argument("--modes", type=words, default=["eager", "compile"])
    a.add_argument("--tf32", action="store_true", help="let products use TF32, as many GPU libraries do by default")
    a.add_argument("--smoke", action="store_true", help="the page's sizes, one batch, half a second each")
    arguments = a.parse_args()
    if arguments.smoke:
        arguments.sizes, arguments.batches, arguments.seconds = ["browser"], [512], 0.5
    torch.set_float32_matmul_precision("high" if arguments.tf32 else "highest")
    device = torch.device(arguments.device)
    record = Record(arguments, device)
    run(record, arguments, device)
    record.say(f"{len(record.data['results'])} figures, {len(record.data['missing'])} missing: {record.path}")


if __name__ == "__main__":
    main()
