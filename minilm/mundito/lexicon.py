"""The words of Mundito, in Spanish and in English: the automaton asks for the article of a noun, never for "la"."""

from dataclasses import dataclass
from functools import cached_property

from minilm.errors import ConfigError
from minilm.i18n import tr

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<bos>", "<eos>")
MASCULINE, FEMININE = 0, 1
Phrase = tuple[str, ...]
Forms = tuple[str, str]  # of an adjective: masculine, feminine; of a verb: singular, plural


@dataclass(frozen=True)
class Noun:
    """What has a gender and perhaps a plural."""

    singular: str
    plural: str
    gender: int

    def form(self, plural: int) -> str:
        return self.plural if plural else self.singular


@dataclass(frozen=True)
class Lexicon:
    """Words by their role, and the phrases that stand between them; each list has the same length in every language."""

    language: str
    names: tuple[Noun, ...]
    animals: tuple[Noun, ...]
    objects: tuple[Noun, ...]
    places: tuple[Noun, ...]
    verbs: tuple[Forms, ...]
    colours: tuple[Forms, ...]
    good: tuple[Forms, ...]
    bad: tuple[Forms, ...]
    happy: tuple[Forms, ...]
    sad: tuple[Forms, ...]
    definite: tuple[Forms, Forms]  # [gender][plural]
    indefinite: Forms  # [gender]
    has: Phrase
    of_colour: Phrase  # between an animal and its colour
    where: Phrase
    who: Phrase
    lives: Forms
    along: Phrase  # between "lives" and with whom
    owned_by: Phrase
    is_: Phrase
    asks: Phrase
    feels: Phrase
    because: Phrase
    affirms: Phrase
    denies: Phrase
    says: Phrase
    stop: str = "."
    question_mark: str = "?"

    @cached_property
    def categories(self) -> dict[str, str]:
        """word -> its tag, as a tagging task asks for it; a word that is in no list has the tag O."""
        found: dict[str, str] = {}
        for tag, words in (
            ("PER", [n.singular for n in self.names]),
            ("ANI", [n.form(p) for n in self.animals for p in (0, 1)]),
            ("OBJ", [n.singular for n in self.objects]),
            ("LOC", [n.singular for n in self.places]),
            ("VRB", [v for forms in self.verbs for v in forms]),
            ("ADJ", [a for forms in self.colours for a in forms]),
            ("SEN", [a for forms in (*self.good, *self.bad) for a in forms]),
            ("MOOD", [a for forms in (*self.happy, *self.sad) for a in forms]),
        ):
            for word in words:
                if found.setdefault(word, tag) != tag:
                    raise ConfigError(
                        tr("the word {word!r} has two roles, {a} and {b}", word=word, a=found[word], b=tag)
                    )
        return found

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: special tokens, then every word once."""
        phrases = (
            (self.stop, self.question_mark),
            self.has, self.of_colour, self.where, self.who, self.lives, self.along, self.owned_by, self.is_,
            self.asks, self.feels, self.because, self.affirms, self.denies, self.says, self.indefinite, *self.definite,
        )  # fmt: skip
        return tuple(dict.fromkeys([*SPECIALS, *(w for phrase in phrases for w in phrase), *self.categories]))


def _nouns(masculine: str, feminine: str, plural=lambda word: word) -> tuple[Noun, ...]:
    return tuple(
        Noun(word, plural(word), gender)
        for gender, words in ((MASCULINE, masculine), (FEMININE, feminine))
        for word in words.split()
    )


def _spanish_plural(word: str) -> str:
    if word[-1] in "aeiou":
        return word + "s"
    return {"ratón": "ratones"}.get(word, word + "es")


def _spanish_adjective(stem: str) -> Forms:
    """ "negr*" has two forms, "feliz" one."""
    return (stem[:-1] + "o", stem[:-1] + "a") if stem.endswith("*") else (stem, stem)


def _spanish(stems: str) -> tuple[Forms, ...]:
    return tuple(_spanish_adjective(stem) for stem in stems.split())


def _invariable(words: str) -> tuple[Forms, ...]:
    return tuple((word, word) for word in words.split())


SPANISH = Lexicon(
    language="es",
    names=_nouns(
        "Luis Beto Juan Raúl Hugo Iván Óscar Pedro Tomás Mario Saúl Félix",
        "Ana Eva Lupe Rosa Sara Elena Julia Marta Nora Irma Olga Clara",
    ),
    animals=_nouns(
        "perro gato zorro lobo oso pato burro toro cuervo conejo ratón mono niño maestro doctor pintor rey panadero "
        "pastor soldado vecino abuelo gallo ciervo",
        "perra gata zorra loba osa pata burra vaca paloma coneja rata mona niña maestra doctora pintora reina panadera "
        "pastora soldada vecina abuela gallina cierva",
        _spanish_plural,
    ),
    objects=_nouns(
        "pan libro vaso plato lápiz zapato sombrero reloj barco tambor cofre espejo martillo cuchillo queso melón "
        "limón jarro costal farol papel hilo clavo anillo collar abrigo guante balón cubo cajón mapa dado",
        "pelota mesa silla taza cuchara camisa falda llave moneda caja botella lámpara flor manzana pera uva piedra "
        "rama cuerda bolsa manta canasta campana rueda escoba aguja tijera carta pluma bandera corona vela",
    ),
    places=_nouns(
        "parque mercado bosque río jardín patio cerro puerto", "plaza casa escuela playa granja torre calle cocina"
    ),
    verbs=tuple(
        (verb, verb + "n")
        for verb in (
            "persigue busca mira encuentra lleva rompe limpia pinta vende compra guarda pierde toca mueve cuida "
            "esconde carga dibuja prueba usa deja toma abre cierra lava roba regala presta corta junta empuja jala"
        ).split()
    ),
    colours=_spanish("negr* blanc* roj* amarill* morad* pequeñ* viej* nuev* larg* gord* flac* alt*"),
    good=_spanish("bonit* buen* lind* hermos* simpátic* divertid* magnífic* precios*"),
    bad=_spanish("fe* mal* odios* asqueros* aburrid* antipátic* espantos* pésim*"),
    happy=_spanish("feliz content* alegre tranquil*"),
    sad=_spanish("triste enojad* furios* molest*"),
    definite=(("el", "los"), ("la", "las")),
    indefinite=("un", "una"),
    has=("tiene",),
    of_colour=(),
    where=("en",),
    who=("que",),
    lives=("vive", "viven"),
    along=("con",),
    owned_by=("de",),
    is_=("es",),
    asks=("¿", "cómo", "es"),
    feels=("está",),
    because=("porque",),
    affirms=("es",),
    denies=("no", "es"),
    says=("dice", "que"),
)


def _english_plural(word: str) -> str:
    irregular = {"wolf": "wolves", "fox": "foxes", "mouse": "mice", "child": "children", "pony": "ponies"}
    return irregular.get(word, word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s"))


ENGLISH = Lexicon(
    language="en",
    names=_nouns(
        "Luke Bert John Ralph Hugh Ivan Oscar Peter Thomas Mark Saul Felix",
        "Ann Eve Lucy Rose Sarah Helen Julia Martha Nora Irma Olga Clara",
    ),
    animals=_nouns(
        "dog cat fox wolf bear duck donkey bull crow rabbit mouse monkey child teacher doctor painter king baker "
        "shepherd soldier neighbour grandfather rooster deerhound",
        "hound kitten vixen goat pony goose mule cow dove hare rat lamb girl nurse sailor singer queen miller farmer "
        "guard cousin grandmother hen swan",
        _english_plural,
    ),
    objects=_nouns(
        "loaf book glass plate pencil shoe hat clock boat drum chest mirror hammer knife cheese melon lemon jug sack "
        "lantern paper thread nail ring necklace coat glove ball bucket drawer map coin",
        "marble table chair cup spoon shirt skirt key penny box bottle lamp flower apple pear grape stone branch rope "
        "bag blanket basket bell wheel broom needle ladder letter feather flag crown candle",
    ),
    places=_nouns(
        "park market forest river garden yard hill harbour", "square house school beach farm tower street kitchen"
    ),
    verbs=tuple(
        (verb + ("es" if verb.endswith(("s", "sh", "ch")) else "s"), verb)
        for verb in (
            "chase seek watch find take break clean paint sell buy keep lose touch move mind hide load draw test use "
            "leave grab open close wash steal give lend cut join push pull"
        ).split()
    ),
    colours=_invariable("black white red yellow purple small old new long fat thin tall"),
    good=_invariable("pretty good nice lovely friendly funny great precious"),
    bad=_invariable("ugly bad hateful nasty boring rude awful poor"),
    happy=_invariable("happy glad cheerful calm"),
    sad=_invariable("sad angry furious upset"),
    definite=(("the", "the"), ("the", "the")),
    indefinite=("a", "a"),
    has=("has",),
    of_colour=("that", "is"),
    where=("in",),
    who=("that",),
    lives=("lives", "live"),
    along=("with",),
    owned_by=("of",),
    is_=("is",),
    asks=("what", "is"),
    feels=("feels",),
    because=("because",),
    affirms=("is",),
    denies=("isn't",),
    says=("says", "that"),
)

LEXICONS = {"es": SPANISH, "en": ENGLISH}


def lexicon_of(language: str) -> Lexicon:
    """The lexicon of a language, "es" or "en"; ConfigError for another."""
    if language not in LEXICONS:
        raise ConfigError(tr("Mundito has no language {got!r}; choose one of {known}", got=language, known="es, en"))
    return LEXICONS[language]
