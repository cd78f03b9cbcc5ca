//===- RaiseRotation.cpp - find rotations by index and sign ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each channel of a rotation is a sum of two products. In a pair of channels,
//
//   y[p] = x[p] c - x[q] s
//   y[q] = x[q] c + x[p] s
//
// Channels are read one by one, as numbers, so that what is known of each is
// which elements it is made of and with which sign, whatever operations moved
// them. Then it is seen which channels share their elements.
//
//===----------------------------------------------------------------------===//

#include "RaiseRotation.h"

using namespace mlir;
using namespace mlir::rope;

std::optional<int64_t> View::getChannel(ExprRef element) const {
  if (!element->is(Expr::Kind::element) || element->value != tensor ||
      element->isImaginary != isImaginary || channelDim < 0)
    return std::nullopt;
  for (auto [i, a, b] : llvm::enumerate(indices, element->indices))
    if (int64_t(i) != channelDim && a != b)
      return std::nullopt;
  auto channel = dyn_cast<AffineConstantExpr>(element->indices[channelDim]);
  return channel ? std::optional(channel.getValue()) : std::nullopt;
}

/// The element of the root at a channel.
ExprRef RotationMatcher::getElement(int64_t channel) {
  MLIRContext *context = root.tensor.getContext();
  SmallVector<AffineExpr> indices;
  for (int64_t i = 0, e = root.sizes.size(); i != e; ++i)
    indices.push_back(getAffineDimExpr(i, context));
  for (int64_t dim : llvm::reverse(root.channelDims)) {
    indices[dim] = getAffineConstantExpr(channel % root.sizes[dim], context);
    channel /= root.sizes[dim];
  }
  if (root.scalar)
    return elements.getScalar(root.body, root.scalar, indices);
  return elements.getElement(root.tensor, indices);
}

/// The number that `expr` is, if it is found after a few operations that move,
/// negate or add elements.
std::optional<double> RotationMatcher::getFactor(ExprRef expr, unsigned steps) {
  for (double sign = 1; expr && steps > 0; --steps) {
    if (expr->isFloatNumber())
      return sign * expr->number;
    if (expr->is(Expr::Kind::element)) {
      expr = elements.expand(expr);
    } else if (expr->is(Fn::neg) || expr->is(Fn::cast)) {
      sign = expr->is(Fn::neg) ? -sign : sign;
      expr = expr->operands[0];
    } else if (expr->is(Fn::add) || expr->is(Fn::mul)) {
      std::optional<double> a = getFactor(expr->operands[0], steps / 2);
      std::optional<double> b = getFactor(expr->operands[1], steps / 2);
      if (expr->is(Fn::mul) && (a == 0.0 || b == 0.0))
        return 0;
      if (!a || !b)
        return std::nullopt;
      return sign * (expr->is(Fn::add) ? *a + *b : *a * *b);
    } else {
      break;
    }
  }
  return std::nullopt;
}

/// Follows `expr` back through operations that move elements, negate or widen
/// them. Returns where that ends.
ExprRef RotationMatcher::follow(ExprRef expr, Chain &chain) {
  bool isNegated = false;
  for (;;) {
    if (expr->is(Expr::Kind::element)) {
      chain.push_back({expr, isNegated});
      ExprRef next = elements.expand(expr);
      if (!next)
        return expr;
      expr = next;
    } else if (expr->is(Fn::neg)) {
      isNegated = !isNegated;
      expr = expr->operands[0];
    } else if (expr->is(Fn::cast) && expr->operands[0]->type &&
               expr->type.getWidth() > expr->operands[0]->type.getWidth()) {
      expr = expr->operands[0];
    } else if (expr->is(Fn::mul) || expr->is(Fn::add)) {
      // A sign that is a constant, or nothing that is added.
      bool isSum = expr->is(Fn::add);
      ExprRef next = nullptr;
      for (unsigned i : {0, 1}) {
        std::optional<double> number = getFactor(expr->operands[i]);
        if (!number || (isSum ? *number != 0 : std::abs(*number) != 1))
          continue;
        isNegated ^= !isSum && *number < 0;
        next = expr->operands[1 - i];
        break;
      }
      if (!next)
        return expr;
      expr = next;
    } else {
      return expr;
    }
  }
}

/// Takes `factor` times `expr` apart into a sum.
bool RotationMatcher::addTerms(ExprRef expr, double factor,
                               SmallVectorImpl<Term> &terms, unsigned depth) {
  static constexpr unsigned kMaxTerms = 4, kMaxSteps = 64;
  ExprRef start = expr;
  for (; depth < kMaxSteps; ++depth) {
    if (expr->is(Expr::Kind::element)) {
      ExprRef next = elements.expand(expr);
      if (!next)
        break;
      expr = next;
    } else if (expr->isFloatNumber() && expr->number == 0) {
      return true;
    } else if (expr->is(Fn::neg)) {
      factor = -factor;
      expr = expr->operands[0];
    } else if (expr->is(Fn::cast)) {
      expr = expr->operands[0];
    } else if (expr->is(Fn::add)) {
      return addTerms(expr->operands[0], factor, terms, depth + 1) &&
             addTerms(expr->operands[1], factor, terms, depth + 1);
    } else if (expr->is(Fn::mul)) {
      unsigned i = 0;
      std::optional<double> number = getFactor(expr->operands[0]);
      if (!number)
        number = getFactor(expr->operands[i = 1]);
      if (number && *number == 0)
        return true;
      if (!number) {
        terms.push_back({factor, expr->operands[0], expr->operands[1]});
        return terms.size() <= kMaxTerms;
      }
      factor *= *number;
      expr = expr->operands[1 - i];
    } else if (std::optional<double> number = expr->is(Fn::div)
                                                  ? getFactor(expr->operands[1])
                                                  : std::nullopt) {
      factor /= *number;
      expr = expr->operands[0];
    } else {
      break;
    }
  }
  terms.push_back({factor, start, nullptr});
  return terms.size() <= kMaxTerms;
}

std::optional<RotationMatcher::Channel> RotationMatcher::read(int64_t index) {
  Channel channel;
  ExprRef element = getElement(index);
  bool isRead = addTerms(element, 1, channel.terms, 0);
  if (isRead && channel.terms.size() == 2 && channel.terms[0].b &&
      channel.terms[1].b) {
    for (auto [term, chains] :
         llvm::zip_equal(channel.terms, channel.factors)) {
      follow(term.a, chains[0]);
      follow(term.b, chains[1]);
    }
    return channel;
  }
  follow(element, channel.copied);
  return channel.copied.empty() ? std::nullopt : std::optional(channel);
}

/// Whether `expr` is made from a cosine or a sine.
static bool isTrigonometric(ExprRef expr) {
  while (expr->is(Fn::neg) || expr->is(Fn::cast) || expr->is(Fn::mul))
    expr = expr->operands.back();
  return expr->is(Fn::cos) || expr->is(Fn::sin);
}

std::optional<Rotation> RotationMatcher::match() {
  // A few channels tell nearly all tensors apart from rotations.
  int64_t last = root.channels - 1;
  std::optional<Channel> sample;
  for (int64_t i :
       {int64_t(0), last, last / 2, last / 4, 3 * last / 4, int64_t(1)}) {
    sample = read(i);
    if (sample && sample->isRotated())
      break;
    sample = std::nullopt;
  }
  if (!sample)
    return std::nullopt;
  progress = 1;
  const Channel *first = &*sample;

  // Which factors are x: those that are elements of one tensor that differ in
  // the channel alone. Products commute, so that it may be either; what depends
  // on more dimensions is rotated, and what is no cosine or sine.
  struct Candidate {
    View x;
    int64_t rank;
    size_t order;
  };
  SmallVector<Candidate, 8> candidates;
  for (unsigned i : {0, 1}) {
    for (unsigned j : {0, 1}) {
      for (const Access &a : first->factors[0][i]) {
        for (const Access &b : first->factors[1][j]) {
          if (a.element->value != b.element->value ||
              a.element->isImaginary != b.element->isImaginary)
            continue;
          int64_t dim = -1, differences = 0, used = 0;
          for (auto [k, s, t] :
               llvm::enumerate(a.element->indices, b.element->indices)) {
            if (s != t) {
              dim = k;
              ++differences;
            }
            used += isa<AffineDimExpr>(s);
          }
          if (differences != 1)
            continue;
          View x{a.element->value, llvm::to_vector(a.element->indices), dim,
                 a.element->isImaginary};
          if (!x.getChannel(a.element) || !x.getChannel(b.element))
            continue;
          const Term *terms = first->terms.data();
          bool isTable =
              isTrigonometric(elements.resolve(i ? terms[0].a : terms[0].b)) &&
              isTrigonometric(elements.resolve(j ? terms[1].a : terms[1].b));
          if (llvm::any_of(candidates, [&](const Candidate &other) {
                return other.x.channelDim == x.channelDim &&
                       other.x.getChannel(a.element);
              }))
            continue;
          candidates.push_back({x, 2 * used + isTable, candidates.size()});
        }
      }
    }
  }
  if (candidates.empty())
    return fail(1, "its two products are not of elements of one tensor");

  for (int64_t i = 0; i != root.channels; ++i) {
    std::optional<Channel> channel = read(i);
    if (elements.isExhausted())
      return fail(1, "the graph around it is too large to be read");
    if (!channel)
      return fail(1, "channel " + Twine(i) +
                         " is neither a sum of two products nor a copy");
    channels.push_back(std::move(*channel));
  }
  magnitude = std::abs(first->terms[0].factor);
  for (const Channel &channel : channels)
    for (const Term &term : channel.terms)
      if (channel.isRotated() && std::abs(term.factor) != magnitude)
        return fail(1, "its products have different factors");
  llvm::sort(candidates, [](const Candidate &a, const Candidate &b) {
    return std::pair(-a.rank, a.order) < std::pair(-b.rank, b.order);
  });
  static constexpr size_t kMaxTries = 16;
  for (const Candidate &candidate : ArrayRef(candidates).take_front(kMaxTries))
    if (std::optional<Rotation> rotation = matchAs(candidate.x))
      return rotation;
  return std::nullopt;
}

/// `channel` by the channels of x that it is made of.
std::optional<RotationMatcher::Row>
RotationMatcher::getRow(const Channel &channel, const View &x) {
  Row row = {channel.isRotated(), {}, {}, {}};
  if (!row.isRotated) {
    for (const Access &access : channel.copied)
      if (std::optional<int64_t> index = x.getChannel(access.element);
          index && !access.isNegated) {
        row.x[0] = *index;
        return row;
      }
    return std::nullopt;
  }
  for (unsigned term : {0, 1}) {
    bool isFound = false;
    for (unsigned i : {0, 1}) {
      for (const Access &access : channel.factors[term][i]) {
        std::optional<int64_t> index = x.getChannel(access.element);
        if (!index || isFound)
          continue;
        const Term &product = channel.terms[term];
        ExprRef factor = elements.resolve(i ? product.a : product.b);
        bool isNegated = access.isNegated != (product.factor < 0);
        if (factor->is(Fn::neg)) {
          factor = factor->operands[0];
          isNegated = !isNegated;
        }
        row.x[term] = *index;
        row.factor[term] = factor;
        row.isNegated[term] = isNegated;
        isFound = true;
      }
    }
    if (!isFound)
      return std::nullopt;
  }
  // The smaller channel first.
  if (row.x[0] > row.x[1]) {
    std::swap(row.x[0], row.x[1]);
    std::swap(row.factor[0], row.factor[1]);
    std::swap(row.isNegated[0], row.isNegated[1]);
  }
  return row;
}

namespace {
/// A rotated pair: its channels of the result and of x.
struct Pair {
  int64_t result[2], x[2];
};

/// Where the channels of a sequence of pairs are.
struct Placement {
  Pairing pairing;
  int64_t offset, stride;
};
} // namespace

static std::optional<Placement>
getPlacement(ArrayRef<Pair> pairs,
             function_ref<const int64_t *(const Pair &)> get) {
  const int64_t *first = get(pairs.front());
  int64_t offset = first[0], stride = first[1] - offset, n = pairs.size();
  auto is = [&](int64_t step) {
    return llvm::all_of(llvm::enumerate(pairs), [&](auto it) {
      const int64_t *pair = get(it.value());
      return pair[0] == offset + step * int64_t(it.index()) &&
             pair[1] == pair[0] + stride;
    });
  };
  if (is(1) && stride >= n)
    return Placement{Pairing::half, offset, stride};
  if (is(2) && stride == 1)
    return Placement{Pairing::interleaved, offset, 1};
  return std::nullopt;
}

std::optional<Rotation> RotationMatcher::matchAs(const View &x) {
  Rotation rotation;
  rotation.x = x;
  rotation.magnitude = magnitude;
  SmallVector<Row> rows;
  for (const auto &[i, channel] : llvm::enumerate(channels)) {
    std::optional<Row> row = getRow(channel, x);
    if (!row && channel.isRotated())
      return fail(2, "channel " + Twine(i) +
                         " is a sum of two products, but not of two channels "
                         "of the tensor that others are made of");
    if (!row)
      return fail(2, "channel " + Twine(i) +
                         " is neither rotated nor a copy of one of the tensor "
                         "that is rotated");
    rows.push_back(*row);
  }
  // Channels that share their elements.
  llvm::MapVector<std::pair<int64_t, int64_t>, SmallVector<int64_t, 2>> groups;
  for (const auto &[i, row] : llvm::enumerate(rows))
    if (row.isRotated)
      groups[{row.x[0], row.x[1]}].push_back(i);
  SmallVector<Pair> pairs;
  std::optional<bool> isTransposed;
  for (const auto &[key, group] : groups) {
    if (group.size() != 2)
      return fail(2, "channel " + Twine(group[0]) + " is made of channels " +
                         Twine(key.first) + " and " + Twine(key.second) +
                         ", from which " +
                         (group.size() == 1 ? "no other is made"
                                            : "more than two are made"));
    const Row &a = rows[group[0]], &b = rows[group[1]];
    auto name = [&, &channels = group](StringRef what) {
      return (what + " of channels " + Twine(channels[0]) + " and " +
              Twine(channels[1]))
          .str();
    };
    if (a.factor[0] != b.factor[1])
      return fail(3, name("the cosines") + " cannot be proved equal");
    if (a.factor[1] != b.factor[0])
      return fail(3, name("the sines") + " cannot be proved equal");
    if (a.isNegated[0] != b.isNegated[1])
      return fail(3, name("the signs of the cosines") + " differ");
    if (a.isNegated[1] == b.isNegated[0])
      return fail(3, name("the signs of the sines") + " are equal");
    if (a.isNegated[0])
      return fail(3, name("the cosines") + " are negated");
    // y[p] = x[p] c - x[q] s, or with the other sign.
    if (isTransposed.value_or(b.isNegated[0]) != b.isNegated[0])
      return fail(3, name("the signs") + " are not those of other pairs");
    isTransposed = b.isNegated[0];
    pairs.push_back({{group[0], group[1]}, {key.first, key.second}});
    rotation.cos.push_back(a.factor[0]);
    rotation.sin.push_back(a.factor[1]);
  }
  rotation.isTransposed = *isTransposed;

  std::optional<Placement> to =
      getPlacement(pairs, [](const Pair &pair) { return pair.result; });
  std::optional<Placement> from =
      getPlacement(pairs, [](const Pair &pair) { return pair.x; });
  auto describe = [&](bool isResult) {
    const int64_t *pair = isResult ? pairs[0].result : pairs[0].x;
    return ("channels " + Twine(pair[0]) + " and " + Twine(pair[1]) +
            " are a pair, but the other pairs do not follow it half-split or "
            "interleaved")
        .str();
  };
  if (!to || !from)
    return fail(3, describe(!to));
  // One pair may be either.
  if (pairs.size() == 1 && to->stride == from->stride)
    to->pairing = from->pairing;
  int64_t n = pairs.size();
  rotation.pairing = from->pairing;
  rotation.resultPairing = to->pairing;
  rotation.offset = to->offset;
  rotation.firstChannel = from->offset - to->offset;
  rotation.pairStride = to->pairing == Pairing::half ? to->stride : n;
  bool isSame = to->pairing == from->pairing && to->stride == from->stride;
  for (const Placement &placement : {*to, *from})
    if (!isSame && placement.pairing == Pairing::half && placement.stride != n)
      return fail(3, "the distance of the channels of a pair, " +
                         Twine(placement.stride) +
                         ", is not the number of pairs, " + Twine(n) +
                         ", where the result has another pairing");
  if (from->pairing == to->pairing && from->stride != to->stride)
    return fail(3, "the channels of a pair are " + Twine(from->stride) +
                       " apart in what is rotated and " + Twine(to->stride) +
                       " in the result");
  for (const auto &[i, row] : llvm::enumerate(rows))
    if (!row.isRotated && row.x[0] != int64_t(i) + rotation.firstChannel)
      return fail(3, "channel " + Twine(i) + " is a copy of channel " +
                         Twine(row.x[0]) + " of what is rotated, not of " +
                         Twine(int64_t(i) + rotation.firstChannel));
  int64_t size =
      cast<RankedTensorType>(x.tensor.getType()).getDimSize(x.channelDim);
  if (rotation.firstChannel < 0 ||
      (!ShapedType::isDynamic(size) &&
       rotation.firstChannel + root.channels > size))
    return fail(3, "the channels lie at other places than in what is rotated");
  return rotation;
}
