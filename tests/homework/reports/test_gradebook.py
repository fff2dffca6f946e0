"""The sheets of Moodle and Canvas: the right cells are filled in, and every other byte is what it was."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made import plain

from minilm.cli import app
from minilm.errors import ConfigError, DataError
from minilm.homework.gradebook import feedback, fill, read_records
from minilm.homework.sheets import Sheet

MOODLE = (
    "\ufeff" 'Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Feedback comments"\r\n'
    '"Participant 11","Díaz, Ana",ana@x.mx,"Submitted for grading",,12.00,Yes,"Sunday, 1 March 2026",\r\n'
    '"Participant 12","Ñúñez ""Bru"", Bruno",bru@x.mx,"Submitted",5.00,12.00,Yes,-,"old, text"\r\n'
    '"Participant 13",Carla,carla@x.mx,"No submission",,12.00,Yes,-,\r\n'
    '"Participant 14",Dora,dora@x.mx,Submitted,7.00,12.00,No,-,\r\n'
)  # fmt: skip
SPANISH = (
    "Identificador;Nombre completo;Calificación;Calificación máxima;La calificación puede ser cambiada;"
    "Última modificación (entrega);Comentarios de retroalimentación\n"
    "Participante 11;Ana;;24,00;Sí;-;\nParticipante 13;Carla;3,50;24,00;Sí;-;\n"
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Homework 2 (900),Homework L03 (901),"
    "Homework Current Score (read only)\n"
    ",,,,,Manual Posting,,\n"
    "    Points Possible,,,,,10,6,(read only)\n"
    '"Díaz, Ana",4711,S-1,ana,One,9.5,,88.1\n'
    '"Ñúñez, Bruno",4712,S-2,bru,One,,1,\n'
    '"Student, Test",,,x1,One,,,\n'
)


def write(tmp_path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "sheet.csv"
    path.write_bytes(text.encode(encoding))
    return path


def filled(tmp_path, text: str, students, column=None, encoding="utf-8"):
    done = fill(write(tmp_path, text, encoding), [plain(student) for student in students], column)
    return done, done.data.decode(encoding)


class TestMoodle:
    def test_fills_grade_and_feedback_and_nothing_else(self, tmp_path):
        done, text = filled(tmp_path, MOODLE, ["11", "12", "14", "99"])
        told = feedback(plain())
        expected = MOODLE.replace(
            'grading",,12.00,Yes,"Sunday, 1 March 2026",', f'grading",3.00,12.00,Yes,"Sunday, 1 March 2026","{told}"'
        )
        expected = expected.replace('5.00,12.00,Yes,-,"old, text"', f'3.00,12.00,Yes,-,"{told}"')
        assert text == expected
        assert done.students == ["11", "12"] and done.left == ["Carla"] and done.locked == ["Dora"]
        assert done.unknown == ["99"] and done.column == "Grade" and done.scaled is None

    def test_in_spanish_with_commas_scaled(self, tmp_path):
        done, text = filled(tmp_path, SPANISH, ["11"])
        assert 'Participante 11;Ana;6,00;24,00;Sí;-;"✓ L3.1' in text and done.scaled == (12, 24)
        assert text.endswith("Participante 13;Carla;3,50;24,00;Sí;-;\n")

    def test_knows_students_by_other_columns_too(self, tmp_path):
        assert filled(tmp_path, MOODLE, ["ANA", "bru@x.mx"])[0].students == ["ANA", "bru@x.mx"]

    def test_two_records_of_one_student_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="11 and ana are one student"):
            filled(tmp_path, MOODLE, ["11", "ana"])

    def test_an_id_of_two_rows_is_nobodys(self, tmp_path):
        done, text = filled(tmp_path, MOODLE.replace("Participant 12", "Participant 11"), ["11"])
        assert done.unknown == ["11"] and text == MOODLE.replace("Participant 12", "Participant 11")

    def test_feedback_names_causes_and_holds_no_tag(self):
        told = feedback(plain(late=("1 d", 1.5)))
        assert "◐ L3.2 f2: 1 / 2, in part. The sum runs along the wrong axis" in told
        assert told.endswith("late; points taken off: 1.5")
        task = plain().tasks[1]
        evil = plain(tasks=(replace(task, cause=replace(task.cause, line="=<script>\u202e")),))
        assert "‹script›" in feedback(evil) and "<" not in feedback(evil) and "\u202e" not in feedback(evil)

    def test_quotes_stay_where_they_are(self, tmp_path):
        quoted = SPANISH.replace("Ana;;24,00", 'Ana;"";"24,00"')
        assert 'Ana;"6,00";"24,00";' in filled(tmp_path, quoted, ["11"])[1]


class TestCanvas:
    def test_fills_the_column_of_the_lesson_scaled(self, tmp_path):
        done, text = filled(tmp_path, CANVAS, ["4711"])
        assert text == CANVAS.replace("4711,S-1,ana,One,9.5,,88.1", "4711,S-1,ana,One,9.5,1.50,88.1")
        assert done.left == ["Ñúñez, Bruno"] and done.scaled == (12, 6) and done.column == "Homework L03 (901)"

    @pytest.mark.parametrize("column", ["Homework 2", "homework 2 (900)"])
    def test_or_the_one_that_is_named(self, tmp_path, column):
        _, text = filled(tmp_path, CANVAS, ["4711", "bru"], column)
        assert "ana,One,2.50,,88.1" in text and "bru,One,2.50,1," in text

    def test_a_column_that_is_not_there_or_not_clear(self, tmp_path):
        with pytest.raises(ConfigError, match="--column is 'Quiz'; there are: Homework 2"):
            filled(tmp_path, CANVAS, ["4711"], "Quiz")
        with pytest.raises(ConfigError, match="--column is 'ID'"):
            filled(tmp_path, CANVAS, ["4711"], "ID")
        with pytest.raises(ConfigError, match="Say it with --column"):
            filled(tmp_path, CANVAS.replace("L03", "3"), ["4711"])

    def test_what_is_no_sheet(self, tmp_path):
        for text in ("", "a\n", "a,b\nc,d\n", "Student,Name\nx,y\n", "\0,\0\n,\n"):
            with pytest.raises(DataError):
                filled(tmp_path, text, ["4711"])
        with pytest.raises(DataError, match="cannot be read"):
            fill(tmp_path / "none.csv", [])


class TestBytes:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le"])
    def test_encodings_stay(self, tmp_path, encoding):
        text = "\ufeff" + SPANISH if encoding == "utf-16-le" else SPANISH
        done = fill(write(tmp_path, text, encoding), [plain("13")])
        data = done.data.decode(encoding)
        assert data.startswith(text[:300].partition("Participante 13")[0]) and "Carla;6,00;24,00" in data

    def test_those_of_old_excel_too(self, tmp_path):
        data = SPANISH.encode("cp1252")
        (tmp_path / "s.csv").write_bytes(data)
        headings = fill(tmp_path / "s.csv", [plain("11")], "Calificaci\xf3n").data
        assert headings.startswith(data[:60]) and b";6,00;24,00;S\xed" in headings

    @given(st.lists(st.lists(st.text('a,;"\n\r\té=', max_size=5), min_size=2, max_size=4), min_size=2, max_size=4),
           st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]),
           st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.booleans(), st.data())  # fmt: skip
    def test_one_cell_changes_and_the_rest_stays(self, rows, delimiter, end, quoting, mark, data):
        rows = [["h1", "h2"], *rows]
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
        text = out.getvalue()
        raw = ("\ufeff" * mark + text).encode()
        sheet = Sheet.read(raw, "x")
        assert sheet.filled({}) == raw and sheet.delimiter == delimiter
        read = [[cell.text for cell in row] for row in sheet.rows]
        assert read == [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        assume(len(sheet.rows) == len(rows))
        i = data.draw(st.integers(0, len(rows) - 1))
        j = data.draw(st.integers(0, len(rows[i]) - 1))
        rows[i][j] = data.draw(st.text('x,;"\n', max_size=5))
        changed = sheet.filled({(i, j): rows[i][j]}).decode().removeprefix("\ufeff")
        assert list(csv.reader(io.StringIO(changed, newline=""), delimiter=delimiter)) == rows
        cell = sheet.rows[i][j]
        assert changed.startswith(sheet.text[mark : cell.start]) and changed.endswith(sheet.text[cell.end :])


class TestCommand:
    def test_reads_a_batch_and_says_what_it_did(self, tmp_path, capsys):
        for student in ("11", "14", "77"):
            folder = tmp_path / "out" / "students" / student
            folder.mkdir(parents=True)
            (folder / "record.json").write_text(plain(student).to_json(), "utf-8")
        sheet = write(tmp_path, MOODLE)
        with pytest.raises(SystemExit) as left:
            app.main(["homework", "gradebook", str(tmp_path / "out"), str(sheet)])
        said = capsys.readouterr().out.replace("\n", " ")
        assert not left.value.code
        assert b'grading",3.00,12.00' in (tmp_path / "sheet.filled.csv").read_bytes()
        assert sheet.read_bytes() == MOODLE.encode()
        for text in (
            "filled in, column Grade: 1",
            "left as they are: Ñúñez",
            "let these be changed: Dora",
            "in the sheet: 77",
        ):
            assert text in said, said

    def test_a_folder_without_results(self, tmp_path):
        with pytest.raises(DataError, match="holds no results"):
            read_records(tmp_path)
        (tmp_path / "students" / "x").mkdir(parents=True)
        (tmp_path / "students" / "x" / "record.json").write_text("{}")
        with pytest.raises(DataError, match="record.json cannot be read"):
            read_records(tmp_path)
