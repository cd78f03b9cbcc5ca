"""Random functions of rope.attention: the tool refuses them with a diagnostic,
or every lowering succeeds. Never a crash, never an error behind the verifier.

RUN: %python %s 1 60
"""

import random
import subprocess
import sys

DTYPES = ["f16", "bf16", "f32", "f64"]
PIPELINES = [
    ["--rope-to-llvm=target-cpu=host"],
    ["--convert-rope-to-linalg", "--canonicalize"],
    ["--rope-optimize"],
    ["--rope-tile-attention"],
    ["--generate-runtime-verification", "--cse"],
]
LOOPS = "b, h, i, j, d, e"
choose = random.choice


def rarely(probability):
    return random.random() < probability


def function():
    kind = choose(["tensor", "tensor", "memref"])
    sizes = {loop: choose(["?", "?", "0", "1", "2", "5", "8", "33", "64", "130"]) for loop in "bijde"}
    group = choose([1, 1, 2, 3, 4, 7])
    sizes["h"] = choose(["?", str(group), str(2 * group), str(8 * group), "0"])
    outer = "".join(loop for loop in "bh" if rarely(0.7))
    # Keys of a page; 0 without pages.
    page = choose([1, 2, 3, 16, 200]) if rarely(0.3) else 0
    count = choose(["?", "0", "1", "4"])
    if page:
        sizes["j"] = "?" if count == "?" else str(int(count) * page)

    def operand(loops, element, grouped=False, last="", paged=False):
        order = list(loops)
        if paged:
            order = [loop for loop in order if loop != "b"]
            if page > 1:
                order.append("place")
        random.shuffle(order)
        if last:
            order.remove(last)
            order.append(last)
        results, shape = [], []
        for loop in order:
            if loop == "place":
                results.append(f"j mod {page}")
                shape.append(str(page))
            elif paged and loop == "j":
                results.append(f"j floordiv {page}" if page > 1 else "j")
                shape.append(choose(["?", "0", "9"]))
            elif grouped and loop == "h" and group > 1:
                results.append(f"h floordiv {group}")
                shape.append("?" if sizes["h"] == "?" else str(int(sizes["h"]) // group))
            else:
                results.append(loop)
                shape.append(sizes[loop])
            if rarely(0.3) and shape[-1] != "?":
                shape[-1] = "?"
            elif rarely(0.01):
                shape[-1] = "6"
            if grouped and rarely(0.1) and not last and not paged:
                results.append("0")
                shape.append("1")
        return f"affine_map<({LOOPS}) -> ({', '.join(results)})>", f"{kind}<{'x'.join([*shape, element])}>", order, shape

    rotated = {name: rarely(0.4) for name in "qk"}
    q = operand(outer + "id", choose(DTYPES), last="d" if rotated["q"] else "")
    integers = {name: rarely(0.25) for name in "kv"}
    element = {name: "i8" if integers[name] else choose(DTYPES) for name in "kv"}
    k = operand(("" if rarely(0.2) else outer) + "jd", element["k"], True, "d" if rotated["k"] else "", bool(page))
    v = operand(("" if rarely(0.2) else outer) + "je", element["v"], True, paged=bool(page))
    o = operand(outer + "ie", choose(DTYPES))
    arguments = [("%q", q[1]), ("%k", k[1]), ("%v", v[1])]
    maps, clauses, elements = [q[0], k[0], v[0]], [], []

    def scales(operand):
        """Scales of some dimensions of an operand, as they are or in groups."""
        results, shape = [], []
        for result, size in zip(operand[0].split(") -> (")[1].split(")>")[0].split(", "), operand[3]):
            places = page > 1 and result.startswith("j ")
            if result == "0" or (places and "mod" in result) or rarely(0.4):
                continue
            if places and rarely(0.7):
                results.append(f"j mod {page}")
                shape.append(str(page))
            if result in "jde" and not (page and result == "j") and rarely(0.3):
                n = choose([2, 4, 64])
                result, size = f"{result} floordiv {n}", "?" if size == "?" else str(int(size) // n)
            if result == "h" and rarely(0.3):
                result, size = "h floordiv 2", "?" if size == "?" else str(int(size) // 2)
            results.append(result)
            shape.append("?" if rarely(0.3) else size)
        return f"affine_map<({LOOPS}) -> ({', '.join(results)})>", f"{kind}<{''.join(n + 'x' for n in shape)}{choose(DTYPES)}>"

    for name, x in (("key", k), ("value", v)):
        if integers[name[0]]:
            map, type = scales(x)
            maps.append(map)
            arguments.append((f"%{name}_scales", type))
            clauses.append(f"{name}_scales(%{name}_scales : {type})")
    if page:
        places = f"j floordiv {page}" if page > 1 else "j"
        both = [("b", sizes["b"]), (places, choose([count, "?"]))] if "b" in outer and rarely(0.8) else [(places, count)]
        random.shuffle(both)
        type = f"{kind}<{''.join(n + 'x' for _, n in both)}{choose(['i32', 'i64', 'index', 'i8'])}>"
        maps.append(f"affine_map<({LOOPS}) -> ({', '.join(result for result, _ in both)})>")
        arguments.append(("%pages", type))
        clauses.append(f"pages(%pages : {type})")
    for n in range(choose([0, 0, 1, 2])):
        element = choose([*DTYPES, "i1", "i8", "i32"])
        mask = operand("".join(x for x in outer + "ij" if rarely(0.6)), element, True)
        arguments.append((f"%m{n}", mask[1]))
        maps.append(mask[0])
        elements.append((f"%m{n}", mask[1], element))
    if elements:
        clauses.append(f"score_operands({', '.join(x for x, _, _ in elements)} : {', '.join(t for _, t, _ in elements)})")
    batches = sizes["b"] if "b" in outer else "1"
    if rarely(0.4):
        type = choose(["i64", "index", "i32", f"{kind}<{batches}xi64>", f"{kind}<{batches}xindex>"])
        arguments.append(("%offset", type))
        clauses.append(f"query_offset(%offset : {type})")
    if rarely(0.3):
        type = f"{kind}<{batches}x{choose(['i32', 'i64', 'index', 'i8'])}>"
        arguments.append(("%lengths", type))
        clauses.append(f"lengths(%lengths : {type})")
    if rarely(0.3):
        type = f"{kind}<{sizes['h'] if 'h' in outer else '1'}x{choose(DTYPES)}>"
        arguments.append(("%sinks", type))
        clauses.append(f"sinks(%sinks : {type})")
    for name, x in (("q", q), ("k", k)):
        if not rotated[name]:
            continue
        dims = random.sample(range(len(x[3]) - 1), random.randint(0, len(x[3]) - 1))
        shape = [x[3][dim] for dim in dims]
        if page and name == "k":
            loops = x[0].split(") -> (")[1].split(")>")[0].split(", ")
            shape = ["?" if loops[dim].startswith("j") else x[3][dim] for dim in dims]
        pairs = "?" if x[3][-1] == "?" else str(int(x[3][-1]) // choose([2, 2, 4]))
        rotation = f"pairing = {choose(['half', 'interleaved'])}, position_dims = {dims}"
        if rarely(0.5):
            axes = ""
            if rarely(0.3) and pairs not in ("?", "0"):
                axes = f", axes = {[random.randrange(2) for _ in range(int(pairs))]}"
                shape.insert(0, "2")
            types = [f"{kind}<{'x'.join([*shape, choose(['i64', 'i32', 'f32'])])}>", f"{kind}<{pairs}xf64>"]
            rotation += f", angles = <magnitude = 1.0{axes}>"
        else:
            types = [f"{kind}<{'x'.join([*shape, pairs, 'f32'])}>"] * 2
        arguments += [(f"%{name}0", types[0]), (f"%{name}1", types[1])]
        clauses.append(f"rotate_{'query' if name == 'q' else 'key'}(%{name}0, %{name}1 : {', '.join(types)}) by <{rotation}>")
    maps.append(o[0])
    inits = [("%o", o[1])]
    if rarely(0.3):
        sums = operand(outer + "i", choose(DTYPES))
        maps.append(sums[0])
        inits.append(("%sums", sums[1]))
    arguments += inits
    attributes = [f"scale = {choose(['0.125', '1.0', '-2.0'])} : f64", f"indexing_maps = [{', '.join(maps)}]"]
    causal = rarely(0.5)
    attributes += ["causal"] * causal
    if causal and rarely(0.4):
        attributes.append(f"window = {choose([1, 7, 100, 2**62])} : i64")
    if rarely(0.2):
        attributes.append(f"chunk = {choose([1, 16, 1000, 2**62])} : i64")
    wide = "f64" if any("f64" in t for n, t in arguments if n in ("%q", "%k", "%v", "%key_scales", "%value_scales")) else "f32"
    region = ""
    if elements or rarely(0.3):
        extra = "".join(f", %x{n}: {element}" for n, (_, _, element) in enumerate(elements))
        lines = [f"%h0 = arith.index_cast %h : index to i64", f"%h1 = arith.sitofp %h0 : i64 to {wide}",
                 f"%s0 = arith.addf %s, %h1 : {wide}"] if rarely(0.4) else [f"%s0 = arith.negf %s : {wide}"]
        value = "%s0"
        for n, (_, _, element) in enumerate(elements):
            if element == "i1":
                lines.append(f"%y{n} = arith.select %x{n}, {value}, %s : {wide}")
            elif element.startswith("i"):
                lines += [f"%z{n} = arith.sitofp %x{n} : {element} to {wide}", f"%y{n} = arith.addf {value}, %z{n} : {wide}"]
            else:
                bits = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}
                cast = "extf" if bits[element] < bits[wide] else "truncf"
                x = f"%x{n}"
                if bits[element] != bits[wide]:
                    lines.append(f"%z{n} = arith.{cast} %x{n} : {element} to {wide}")
                    x = f"%z{n}"
                lines.append(f"%y{n} = arith.addf {value}, {x} : {wide}")
            value = f"%y{n}"
        region = (f" {{\n  ^bb0(%s: {wide}, %b: index, %h: index, %i: index, %j: index{extra}):\n    "
                  + "\n    ".join(lines) + f"\n    rope.yield {value} : {wide}\n  }}")
    results = [t for _, t in inits] if kind == "tensor" else []
    names = [f"%r#{n}" for n in range(len(results))] if len(results) > 1 else ["%r"]
    binding = f"%r:{len(results)} = " if len(results) > 1 else "%r = " if results else ""
    return f"""func.func @f({', '.join(f'{n}: {t}' for n, t in arguments)}) {f"-> ({', '.join(results)})" if results else ''} {{
  {binding}rope.attention {{{', '.join(attributes)}}} ins(%q, %k, %v : {q[1]}, {k[1]}, {v[1]})
    {' '.join(clauses)}
    outs({', '.join(n for n, _ in inits)} : {', '.join(t for _, t in inits)}){region}
  return{f" {', '.join(names)} : {', '.join(results)}" if results else ''}
}}
"""


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    valid = failures = 0
    for number in range(seed, seed + count):
        random.seed(number)
        text = function()
        checked = subprocess.run(["rope-opt"], input=text.encode(), capture_output=True, timeout=60)
        if checked.returncode not in (0, 1) or (checked.returncode and b"error:" not in checked.stderr):
            failures += 1
            print(f"seed {number}: the verifier crashed\n{text}\n{checked.stderr.decode()[-2000:]}")
        if checked.returncode:
            continue
        valid += 1
        for pipeline in PIPELINES:
            done = subprocess.run(["rope-opt", *pipeline], input=text.encode(), capture_output=True, timeout=120)
            if done.returncode:
                failures += 1
                print(f"seed {number}: {' '.join(pipeline)} fails\n{text}\n{done.stderr.decode()[:2000]}")
    print(f"{valid} of {count} valid, {failures} failures")
    # Too few would test nothing.
    sys.exit(1 if failures or valid < count // 4 else 0)


if __name__ == "__main__":
    main()
