"""NonMaxSuppression: the best boxes, without those that overlap better ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, TensorType, f32, i64
from xdsl.ir import Attribute
from xdsl.irdl import AttrSizedOperandSegments, irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def

from ...errors import CompileError
from .base import AnyTensor, NNOp, Onnx, integer
from .types import Abstract, Array, dims_agree, format_dims, product, tensor


def _on_host(array: Array) -> Array:
    return array if type(array) is np.ndarray else array.get()


@irdl_op_definition
class NonMaxSuppressionOp(NNOp):
    """Of each image and class, box after box by falling score, without those that overlap one taken before.

    ONNX NonMaxSuppression, https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html. boxes [N, B, 4] (two opposite
    corners y1, x1, y2, x2 or, with `center_point_box`, centre and size x, y, w, h), scores [N, classes, B]; result
    [?, 3] of i64: image, class and box. At most max_output_boxes_per_class (0 by default), of scores above
    score_threshold, none of which overlap by more than iou_threshold (0 by default) of their union. It is computed on
    the host.
    """

    name = "nn.non_max_suppression"
    ONNX: ClassVar = Onnx("NonMaxSuppression", since=10)
    HOST: ClassVar = frozenset({"max_output_boxes_per_class", "iou_threshold", "score_threshold"})

    boxes = operand_def(AnyTensor)
    scores = operand_def(AnyTensor)
    max_output_boxes_per_class = opt_operand_def(AnyTensor)
    iou_threshold = opt_operand_def(AnyTensor)
    score_threshold = opt_operand_def(AnyTensor)
    center_point_box = prop_def(IntegerAttr, default_value=IntegerAttr(0, i64))
    result = result_def(AnyTensor)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def infer(
        self,
        boxes: Abstract,
        scores: Abstract,
        max_output_boxes_per_class: Abstract | None,
        iou_threshold: Abstract | None,
        score_threshold: Abstract | None,
    ) -> TensorType[Attribute]:
        """[?, 3]"""
        if (boxes.element, scores.element) != (f32, f32) or boxes.rank != 3 or scores.rank != 3:
            raise CompileError(f"{self.name} needs f32 boxes [N, B, 4] and scores [N, classes, B]")
        if not dims_agree(boxes.dims, (scores.dims[0], scores.dims[2], 4)):
            raise CompileError(f"boxes {format_dims(boxes.dims)} do not fit scores {format_dims(scores.dims)}")
        for operand in (max_output_boxes_per_class, iou_threshold, score_threshold):
            if operand is not None and product(operand.dims) not in (None, 1):
                raise CompileError(f"the limits of {self.name} must be one number each")
        return tensor(i64, (None, 3))

    def evaluate(
        self,
        xp: Any,
        boxes: Array,
        scores: Array,
        max_output_boxes_per_class: Array | None,
        iou_threshold: Array | None,
        score_threshold: Array | None,
    ) -> Array:
        """Greedily; each box taken is compared with all that are left at once."""
        boxes, scores = self.corners(_on_host(boxes)), _on_host(scores)
        limit = 0 if max_output_boxes_per_class is None else int(max_output_boxes_per_class.reshape(()))
        overlap = boxes.dtype.type(0 if iou_threshold is None else iou_threshold.reshape(()))
        least = None if score_threshold is None else scores.dtype.type(score_threshold.reshape(()))
        found: list[Array] = []
        for image, class_ in np.ndindex(*scores.shape[:2]):
            score = scores[image, class_]
            order = np.argsort(-score, kind="stable")
            order = order if least is None else order[score[order] > least]
            taken = suppress(boxes[image], order, limit, overlap)
            found.append(np.stack([np.full_like(taken, image), np.full_like(taken, class_), taken], axis=1))
        return xp.asarray(np.concatenate(found) if found else np.zeros((0, 3), np.int64))

    def corners(self, boxes: Array) -> Array:
        """The lesser and the greater corner of each box: [N, B, 4]."""
        first, second = boxes[..., :2], boxes[..., 2:]
        if integer(self.center_point_box):
            first, second = first - second / 2, first + second / 2
        return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=-1)


def suppress(boxes: Array, order: Array, limit: int, overlap: Any) -> Array:
    """Which of the boxes [B, 4], tried in this order, are taken: i64 indices, at most `limit`."""
    taken: list[int] = []
    while order.size and len(taken) < limit:
        best, order = order[0], order[1:]
        taken.append(int(best))
        order = order[~(overlaps(boxes[best], boxes[order]) > overlap)]
    return np.array(taken, np.int64)


def overlaps(box: Array, others: Array) -> Array:
    """What `box` [4] shares with each of `others` [B, 4], as a part of their union: [B]; -1 for nothing."""
    sides: Array = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0)
    shared = sides[:, 0] * sides[:, 1]
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    return np.where(shared > 0, shared / np.maximum(union, np.finfo(box.dtype).tiny), -1)
