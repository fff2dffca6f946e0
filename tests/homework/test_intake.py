"""Submissions: from every layout each student once, with the right file; from hostile ones a note, and nothing else."""

import io
import os
import random
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from downloads import (
    CANVAS,
    GOOD,
    MOODLE_FLAT,
    MOODLE_FOLDERS,
    NAMES,
    SOME,
    link,
    lying,
    notebook,
    put,
    zipped,
)
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import DataError
from minilm.homework import archives
from minilm.homework.archives import Limits, Refused, printable, zip_items
from minilm.homework.intake import submissions
from minilm.homework.notebooks import code_of


def read(path: Path, **how) -> dict:
    found = list(submissions(path, "l03", NAMES, **how))
    assert [one.student for one in found] == sorted({one.student for one in found}), "once each, in order"
    return {one.student: one for one in found}


def kinds(submission) -> list[str]:
    return [note.kind for note in submission.notes]


def one(tmp_path, data: bytes, name: str = "ana.zip", **how):
    """The only submission of a folder with one file."""
    put(tmp_path / "in", {name: data})
    (found,) = read(tmp_path / "in", **how).values()
    return found


@pytest.fixture(params=["folder", "zip"])
def laid_out(request, tmp_path):
    """Files as a folder, and as the zip that was downloaded."""

    def lay(files: dict) -> Path:
        if request.param == "folder":
            return put(tmp_path / "download", files)
        (tmp_path / "download.zip").write_bytes(zipped(files))
        return tmp_path / "download.zip"

    return lay


class TestLayouts:
    def test_moodle_in_folders(self, laid_out):
        found = read(laid_out(MOODLE_FOLDERS))
        assert set(found) == {"1234567", "1234568", "99", "Equipo 4", "1234570", "1234571"}
        assert found["1234567"].name == "Ana Díaz López" and found["1234567"].source == GOOD
        assert found["1234567"].file == "l03.py" and kinds(found["1234567"]) == ["ignored"]
        assert found["1234568"].source == GOOD and found["1234568"].file == "entrega/l03.zip/l03.py"
        assert found["99"].name == "Participant" and SOME.strip() in found["99"].source
        assert found["Equipo 4"].source == SOME
        assert found["1234570"].source is None and kinds(found["1234570"]) == ["missing"]
        assert found["1234571"].source is None and kinds(found["1234571"]) == ["ignored", "missing"]

    def test_moodle_flat(self, laid_out):
        found = read(laid_out(MOODLE_FLAT))
        assert {k: (v.name, v.source, v.file) for k, v in found.items()} == {
            "1234567": ("Ana Díaz López", GOOD, "l03.py"),
            "1234568": ("Bruno Ñúñez", SOME, "mi_tarea_3.py"),
        }

    def test_canvas(self, laid_out):
        found = read(laid_out(CANVAS))
        assert set(found) == {"4711", "4712", "4713", "4714", "anon_x7Gh2", "anon_y8Gh3"}
        assert (found["4711"].name, found["4711"].file, found["4711"].source) == ("diazana", "l03-1.py", GOOD)
        assert found["4712"].source == GOOD and kinds(found["4712"]) == ["late"]
        assert found["4713"].name == "o_brienpat" and SOME.strip() in found["4713"].source
        assert found["4714"].source == SOME and kinds(found["4714"]) == ["chosen"]
        assert "of 2 files, l03.py is graded" in found["4714"].notes[0].text
        assert found["anon_x7Gh2"].source == GOOD and found["anon_x7Gh2"].notes == ()
        assert found["anon_y8Gh3"].source == SOME and kinds(found["anon_y8Gh3"]) == ["late"]

    def test_files_folders_and_zips_by_students_names(self, laid_out):
        dora = notebook(GOOD.decode())
        files = {
            "ana.py": GOOD, "bruno.maria.py": SOME, "bruno.luis.py": GOOD, "carla/l03.py": GOOD,
            "carla/notes.txt": b"", "e@x.mx/deep/a.py": SOME, "dora.zip": zipped({"l03.ipynb": dora}),
        }  # fmt: skip
        found = read(laid_out(files))
        assert set(found) == {"ana", "bruno.maria", "bruno.luis", "carla", "dora", "e@x.mx"}
        assert found["bruno.maria"].source == SOME and found["bruno.luis"].source == GOOD
        assert GOOD.strip() in found["dora"].source and found["e@x.mx"].file == "deep/a.py"

    def test_names_with_numbers_are_not_canvass(self, laid_out):
        """Only where every file has a number of its own, and every student one name."""
        for files in (
            {"ana_2024_05_l03.py": GOOD, "luis_2024_06_l03.py": SOME},
            {"ana_2024_05_l03.py": GOOD, "luis_2025_05_l03.py": SOME},
            {"ana_1_2_l03.py": GOOD, "luis.py": SOME},
        ):
            path = laid_out(files)
            assert set(read(path)) == {name.removesuffix(".py") for name in files}
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def test_one_file_is_one_student(self, tmp_path):
        for name, data in (
            ("ana.py", GOOD),
            ("ana.ipynb", notebook(GOOD.decode())),
            ("ana.zip", zipped({"l03.py": GOOD})),
        ):
            found = read(put(tmp_path, {name: data}) / name)
            assert list(found) == ["ana"] and GOOD.strip() in found["ana"].source
            (tmp_path / "link").mkdir(exist_ok=True)
            (tmp_path / "link" / f"eva{Path(name).suffix}").symlink_to(tmp_path / name)  # the instructor's own
            assert list(read(tmp_path / "link" / f"eva{Path(name).suffix}")) == ["eva"]

    def test_names_that_a_program_wrote_as_utf8_without_saying_so(self, tmp_path):
        data = zipped({"Ana Diaz_1_assignsubmission_file_/l03.py": GOOD, "Bru_2_assignsubmission_file_/l03.py": GOOD})
        (tmp_path / "d.zip").write_bytes(data.replace(b"Ana Diaz", "Ana Día".encode()))
        assert read(tmp_path / "d.zip")["1"].name == "Ana Día"

    def test_what_systems_leave_is_nobodys(self, laid_out):
        files = {"ana/l03.py": GOOD, "__MACOSX/ana/._l03.py": b"\0\5", "ana/.git/x.py": SOME, ".DS_Store": b"",
                 "ana/__pycache__/l03.py": SOME, "ana/.ipynb_checkpoints/l03-checkpoint.ipynb": b"{}"}  # fmt: skip
        found = read(laid_out(files))
        assert list(found) == ["ana"] and found["ana"].source == GOOD and found["ana"].notes == ()


class TestChoice:
    def test_the_file_with_the_most_tasks_is_graded(self, tmp_path):
        found = one(tmp_path, zipped({"l03.py": SOME, "final_final.py": GOOD}))
        assert found.source == GOOD and found.file == "ana.zip/final_final.py" and kinds(found) == ["chosen"]

    def test_of_equal_ones_that_which_is_named_right(self, tmp_path):
        found = one(
            tmp_path, zipped({"l03-a.py": SOME, "old/l03.py": SOME, "l03.py": SOME, "l03.ipynb": notebook("x")})
        )
        assert found.file == "ana.zip/l03.py"

    def test_the_choice_is_by_text_and_runs_nothing(self, tmp_path):
        trap = b"import os\nos._exit(1)\ndef scores(): pass\n" + b"(" * 60_000
        assert one(tmp_path, zipped({"a.py": trap, "b.py": b""})).source == trap

    def test_tar_and_others_are_not_opened(self, tmp_path):
        found = one(tmp_path, b"BZh9", "ana/l03.tar.gz")
        assert found.source is None and kinds(found) == ["ignored", "missing"]
        assert "l03.tar.gz is not opened" in found.notes[0].text

    def test_a_zip_in_a_zip_is_not_opened(self, tmp_path):
        found = one(tmp_path, zipped({"inner.zip": zipped({"l03.py": GOOD})}))
        assert found.source is None and kinds(found) == ["ignored", "missing"]


class TestHostile:
    """Each is refused with its own reason, and the batch goes on."""

    @pytest.fixture
    def refused(self, tmp_path):
        def refuse(data: bytes, reason: str, name: str = "mal.zip", **how) -> None:
            put(tmp_path / "in", {name: data, "zoe.py": GOOD})
            found = read(tmp_path / "in", **how)
            assert found["zoe"].source == GOOD and len(found) == 2
            assert found["mal"].source is None and kinds(found["mal"]) == ["refused"]
            assert reason in found["mal"].notes[0].text

        return refuse

    @pytest.mark.parametrize(
        "name", ["../l03.py", "a/../../l03.py", "/etc/l03.py", "a\\..\\l03.py", "C:/l03.py", "a//l03.py", "./../l03.py"]
    )
    def test_zip_slip(self, refused, name):
        refused(zipped({name: GOOD}), "would lie outside of it")

    def test_links(self, refused):
        refused(link("l03.py", "/etc/passwd"), "l03.py is a link or no file at all")

    @pytest.mark.parametrize("kind", [0o010000, 0o020000, 0o060000, 0o140000])
    def test_special_files(self, refused, kind):
        refused(zipped({"l03.py": GOOD}, external_attr=kind << 16, create_system=3), "no file at all")

    def test_a_bomb(self, refused):
        refused(zipped({"l03.py": b"\n" * (1 << 20)}), "times its size, as no text does")
        refused(
            zipped({f"{i}.txt": random.Random(i).randbytes(100) * 20_000 for i in range(40)}),
            "more than 67108864 bytes",
        )

    def test_a_source_that_is_too_long(self, refused):
        long = random.Random(0).randbytes(1 << 20).hex().encode()
        refused(zipped({"l03.py": long}), "l03.py has more than 1048576 bytes")

    def test_a_file_that_is_too_long(self, refused):
        refused(b"#" * (1 << 20) + b"\n", "mal.py has more than 1048576 bytes", "mal.py")

    def test_a_zip_that_is_too_large(self, refused):
        refused(zipped({"l03.py": GOOD}), "mal.zip has more than 100 bytes", limits=Limits(archive=100))

    def test_sizes_that_lie(self, refused):
        refused(lying(300_000), "damaged")

    def test_ten_thousand_files(self, refused, tmp_path):
        refused(zipped({f"{i}.py": b"" for i in range(10_000)}), "more than 1000 files")
        (tmp_path / "in" / "mal.zip").unlink()
        put(tmp_path / "in", {f"mal/{i}.py": b"" for i in range(1100)})
        found = read(tmp_path / "in")
        assert kinds(found["mal"]) == ["refused"] and found["zoe"].source == GOOD

    def test_a_long_list_of_contents_is_not_even_read(self, monkeypatch):
        many, named = (
            zipped({f"{i}.py": b"" for i in range(1001)}),
            zipped({"n" * 65_000 + str(i): b"" for i in range(9)}),
        )
        monkeypatch.setattr(zipfile, "ZipFile", None)
        for data in (many, named):
            with pytest.raises(Refused, match="more than 1000 files"):
                zip_items(data)

    def test_a_list_of_contents_that_says_less_than_it_holds(self, refused):
        data = bytearray(zipped({f"{i:04}.py": b"" for i in range(5000)}))
        at = data.rfind(b"PK\5\6")
        data[at + 8 : at + 12] = struct.pack("<HH", 3, 3)
        refused(bytes(data), "more than 1000 files", limits=Limits(members=1000, archive=1 << 24))

    def test_encryption_and_rare_methods(self, refused):
        data = bytearray(zipped({"l03.py": GOOD}))
        data[6] |= 1
        data[data.find(b"PK\1\2") + 8] |= 1
        refused(bytes(data), "the zip is encrypted (l03.py)")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("l03.py", GOOD)
        refused(out.getvalue(), "in a way that is not usual")

    def test_names_that_are_no_text(self, refused):
        data = zipped({"é.py": GOOD})  # marked as UTF-8
        refused(data.replace("é".encode(), b"\xff\xff"), "damaged")

    @pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6", b"\0" * 100, GOOD, b"PK\3\4" + b"\xff" * 500])
    def test_what_is_no_zip(self, refused, data):
        refused(data, "damaged, or none")

    def test_notebooks_that_are_none(self, refused):
        for data in (
            b"",
            b"{}",
            b"[" * 100_000,
            b'{"cells": 3}',
            b"\xff",
            b'{"cells": [{"cell_type": "code", "source": 3}]}',
        ):
            refused(data, "mal.ipynb is no notebook", "mal.ipynb")

    def test_the_disk_holds_links_pipes_and_names_that_are_no_text(self, tmp_path):
        folder = put(tmp_path / "in", {"zoe.py": GOOD})
        (tmp_path / "secret.py").write_bytes(b"SECRET")
        (folder / "a.py").symlink_to(tmp_path / "secret.py")
        (folder / "b").symlink_to(tmp_path)
        os.mkfifo(folder / "c.py")
        put(folder / "d", {"x.txt": b""}) and (folder / "d" / "l03.py").symlink_to(tmp_path / "secret.py")
        Path(os.fsdecode(bytes(folder) + b"/e\xff\x1b[2J.py")).write_bytes(SOME)
        found = read(folder)
        for student in ("a", "b", "c", "d"):
            assert found[student].source is None and "is a link or no file at all" in found[student].notes[0].text
        assert found["zoe"].source == GOOD
        strange = found["e\\udcff\\x1b[2J"]
        assert strange.source == SOME and strange.file.isprintable()

    def test_a_file_that_changes_into_a_link_is_not_followed(self, tmp_path, monkeypatch):
        folder = put(tmp_path / "in", {"a.py": GOOD})
        (tmp_path / "secret.py").write_bytes(b"SECRET")
        listing = submissions(folder, "l03", NAMES)
        walk = os.scandir

        def scandir(path):
            entries = list(walk(path))
            for entry in entries:
                entry.is_file()
            (folder / "a.py").unlink()
            (folder / "a.py").symlink_to(tmp_path / "secret.py")
            return entries

        monkeypatch.setattr(os, "scandir", scandir)
        (found,) = listing
        assert found.source is None

    def test_what_is_graded_is_read_once(self, tmp_path, monkeypatch):
        """Whoever changes the file once it is open changes nothing, and it is opened once."""
        folder, opened = put(tmp_path / "in", {"a.py": SOME, "b/l03.py": GOOD, "c.zip": zipped({"l03.py": GOOD})}), []
        real = os.open

        def open_and_change(path, *args, **how):
            handle = real(path, *args, **how)
            opened.append(Path(path).name)
            put(tmp_path, {"other": b"x = 'another'"})
            os.replace(tmp_path / "other", path)
            return handle

        monkeypatch.setattr(os, "open", open_and_change)
        found = read(folder)
        assert sorted(opened) == ["a.py", "c.zip", "l03.py"]
        assert [one.source for one in found.values()] == [SOME, GOOD, GOOD]

    def test_a_deep_folder(self, tmp_path):
        found = one(tmp_path, GOOD, "ana/" + "d/" * 30 + "l03.py")
        assert found.source is None and "folders in each other" in found.notes[0].text

    @given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
    def test_any_damage_is_refused_or_read(self, junk, at, byte):
        data = bytearray(zipped({"l03.py": GOOD, "b.py": SOME}))
        data[at % len(data)] = byte
        for broken in (bytes(data), bytes(data)[: at % len(data)], bytes(data) + junk):
            try:
                for item in zip_items(broken):
                    item.problem or item.read(1 << 20)
            except Refused:
                pass


class TestBatch:
    def test_a_batch_that_is_not_there_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match="there is no file or folder"):
            read(tmp_path / "nothing")
        (tmp_path / "bad.zip").write_bytes(b"nothing")
        with pytest.raises(DataError, match="bad.zip cannot be read: the zip is damaged"):
            read(tmp_path / "bad.zip")

    def test_a_download_that_climbs_is_an_error(self, tmp_path):
        (tmp_path / "bad.zip").write_bytes(zipped({"../ana.py": GOOD}))
        with pytest.raises(DataError, match="would lie outside of it"):
            read(tmp_path / "bad.zip")

    def test_a_download_with_a_link_costs_that_student_alone(self, tmp_path):
        out = io.BytesIO(zipped({"zoe/l03.py": GOOD}))
        with zipfile.ZipFile(out, "a") as archive:
            bad = zipfile.ZipInfo("mal/l03.py")
            bad.create_system, bad.external_attr = 3, 0o120777 << 16
            archive.writestr(bad, "/etc/passwd")
        (tmp_path / "d.zip").write_bytes(out.getvalue())
        found = read(tmp_path / "d.zip")
        assert found["zoe"].source == GOOD and kinds(found["mal"]) == ["refused"]

    def test_students_ids_are_names_that_a_file_may_have(self, tmp_path):
        names = ["..py", "a\nb.py", "é.py", "-x.py", "_1_assignsubmission_file_/l03.py"]
        found = read(put(tmp_path / "in", dict.fromkeys(names, GOOD)))
        for student in found:
            assert student not in ("", ".", "..") and student.isprintable() and "/" not in student


class TestNotebooks:
    def test_code_is_taken_and_what_only_notebooks_understand_is_not(self):
        source = notebook("%matplotlib inline\nimport math\n!ls\nx = (7\n  % 3)\nmath?\n", "%%html\n<p>\n", "y = x")
        namespace: dict = {}
        exec(code_of(source, "l03.ipynb").decode(), namespace)
        assert namespace["x"] == 1 and namespace["y"] == 1

    def test_a_source_may_be_a_text_or_lines(self):
        assert code_of(b'{"cells": [{"cell_type": "code", "source": "x = 1"}]}', "n") == b"x = 1\n"


@given(st.binary().map(os.fsdecode))
def test_printed_names_print_and_differ(name):
    assert printable(name).isprintable()
    assert printable(printable(name)) == printable(name)


def test_limits_of_a_student_are_below_those_of_a_download():
    for name in ("source", "archive", "unpacked", "members", "ratio"):
        assert getattr(archives.STUDENT, name) < getattr(archives.DOWNLOAD, name)
