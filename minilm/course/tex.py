"""Formulas on a terminal: TeX as Unicode text, `p_{ts} = e^{a} / \\sqrt K` as `pₜₛ = eᵃ / √K`.

Only what course prose uses; a command that is not known keeps its name, so nothing is lost.
"""

import re

SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "varphi": "φ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ",
    "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "sum": "Σ", "prod": "∏", "int": "∫", "partial": "∂", "nabla": "∇",
    "infty": "∞", "in": "∈", "notin": "∉", "subset": "⊂", "cup": "∪", "cap": "∩", "forall": "∀", "exists": "∃",
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "sim": "~", "propto": "∝",
    "equiv": "≡", "ll": "≪", "gg": "≫", "pm": "±", "times": "×", "cdot": "·", "odot": "⊙", "oplus": "⊕", "circ": "∘",
    "to": "→", "rightarrow": "→", "leftarrow": "←", "mapsto": "↦", "Rightarrow": "⇒", "ldots": "…", "dots": "…",
    "cdots": "…", "mid": "|", "lvert": "|", "rvert": "|", "Vert": "‖", "|": "‖", "langle": "⟨", "rangle": "⟩",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "top": "ᵀ", "ell": "ℓ", "colon": ":", "setminus": "∖",
    "quad": "\u2003", "qquad": "\u2003\u2003", ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "{": "{", "}": "}",
    "%": "%",
    "_": "_", "&": "&", "#": "#", "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "", "Bigl": "",
    "Bigr": "", "displaystyle": "", "limits": "", "\\": "\n",
}  # fmt: skip
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "vec": "\u20d7"}
PLAIN = ("text", "mathrm", "mathbf", "mathbb", "mathcal", "operatorname", "textbf", "boldsymbol", "mathit")
LOWER = dict(zip("0123456789+-−=()aehijklmnoprstuvx'", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ′", strict=True))
RAISED = dict(
    zip("0123456789+-−=()abcdefghijklmnoprstuvwxyzTᵀ'", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ′", strict=True)
)
OPEN, CLOSE = "\ue000", "\ue001"  # around a fraction, until it is known what stands beside it
FRACTION = re.compile(rf"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
BOUND_LEFT = re.compile(r"[\w\u0300-\u036f)\]⟩√Σ∏∂] *$")
BOUND_RIGHT = re.compile(r" *[\w(\[⟨√Σ∏|]")
SPACED = re.compile(r" *([≤≥≠≈∝≡≪≫∈∉⊂→←↦⇒×·⊙⊕±=]) *")
TOKEN = re.compile(r"\\([A-Za-z]+|.)|([{}_^])|([^\\{}_^]+)", re.DOTALL)


def unicode_math(tex: str) -> str:
    """A formula, without its dollar signs, as text."""
    tokens = [match.groups() for match in TOKEN.finditer(tex)]
    text = re.sub(r"(?<=[a-z])(?=[√Σ∏∫])", " ", _fractions(_sequence(tokens)))  # ln Σ, tanh √
    return re.sub(r"[ \t]+", " ", SPACED.sub(r" \1 ", text)).strip()


def readable(markdown: str) -> str:
    """Markdown whose formulas are text that Markdown leaves alone; displayed ones are quotations."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.DOTALL)  # every second one is code
    return "".join(part if i % 2 else _with_text_for_formulas(part) for i, part in enumerate(parts))


def _with_text_for_formulas(markdown: str) -> str:
    shown = re.sub(r"\$\$(.+?)\$\$", lambda m: _quoted(unicode_math(m[1])), markdown, flags=re.DOTALL)
    return re.sub(r"(?<!\\)\$([^$]+)\$", lambda m: _escaped(unicode_math(m[1])), shown)


def _quoted(text: str) -> str:
    """A paragraph for each line of a formula."""
    lines = [_escaped(line.strip()) for line in text.split("\n")]
    return "\n\n" + "\n>\n".join(f"> {line}" for line in lines if line) + "\n\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", text)


def _sequence(tokens: list[tuple], until: str | None = None) -> str:
    """The tokens up to a closing brace, consumed, as text."""
    parts: list[str] = []
    while tokens:
        command, mark, text = tokens.pop(0)
        if mark == "}" and until == "}":
            break
        if mark in ("_", "^"):
            parts.append(_script(_argument(tokens), LOWER if mark == "_" else RAISED, mark))
        elif mark == "{":
            parts.append(_sequence(tokens, "}"))
        elif command is not None:
            parts.append(_command(command, tokens))
        else:
            parts.append(text or "")
    return "".join(parts)


def _command(name: str, tokens: list[tuple]) -> str:
    if name in ("frac", "tfrac", "dfrac"):
        over, under = _argument(tokens), _argument(tokens)
        return f"{OPEN}{_grouped(over)} / {_grouped(under)}{CLOSE}"
    if name == "sqrt":
        return "√" + _grouped(_argument(tokens))
    if name in ACCENTS:
        return _argument(tokens) + ACCENTS[name]
    if name in PLAIN:
        return _argument(tokens)
    return SYMBOLS.get(name, name)


def _fractions(text: str) -> str:
    """Fractions in parentheses where what stands beside them would else be read as a part of them: (1 / 2) x."""
    while match := FRACTION.search(text):
        before, after = text[: match.start()], text[match.end() :]
        bound = BOUND_LEFT.search(before), BOUND_RIGHT.match(after)
        whole = f"({match[1]})" if any(bound) else match[1]
        text = before + " " * bool(bound[0]) + whole + " " * bool(bound[1]) + after
    return text


def _argument(tokens: list[tuple]) -> str:
    """What a command, `_` or `^` applies to: a group, a command, or one character, consumed."""
    while tokens:
        command, mark, text = tokens.pop(0)
        if mark == "{":
            return _sequence(tokens, "}")
        if command is not None:
            return _command(command, tokens).strip()
        if text is not None and text.strip():
            text = text.lstrip()
            if text[1:]:
                tokens.insert(0, (None, None, text[1:]))
            return text[0]
    return ""


def _script(text: str, forms: dict[str, str], mark: str) -> str:
    """Lowered or raised letters where all of them exist, else the mark and the text."""
    text = _fractions(text).strip()
    if all(c in forms for c in text.replace(" ", "")):
        return "".join(forms[c] for c in text.replace(" ", ""))
    return mark + (text if len(text) == 1 else f"({text})")


def _grouped(text: str) -> str:
    """In parentheses, unless it is one thing: a number, a name with its index, a root or a differential of one."""
    text = re.sub("∂ +", "∂", _fractions(text).strip())
    return text if re.fullmatch(r"[√∂]?(\w[\u0300-\u036f₀-ₜᵢⱼ⁰-ⁿ′]*|\d[\d,.]*|\w+)", text) else f"({text})"
