"""A notebook shows what the script shows."""

import pytest

from minilm.course.notebook import quiet


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x = 1", "x = 1"),
        ("x", "x;"),
        ("L.said('ñ', f(é))  # why", "L.said('ñ', f(é));  # why"),
        ("f(\n    1,\n)  # fmt: skip\n", "f(\n    1,\n);\n"),
        ("for i in x:\n    f(i)", "for i in x:\n    f(i)"),
        ("", ""),
        ("# only a comment", "# only a comment"),
    ],
)
def test_a_last_value_is_hidden(source, shown):
    assert quiet(source) == shown


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lesson_runs_as_a_notebook(tmp_path):
    """In a kernel: the questions, the figures and the table are there, and nothing else is shown."""
    import nbclient
    import nbformat
    from planted import plant

    from minilm.course.banks import read_about
    from minilm.course.notebook import make_notebook

    path = make_notebook(read_about(plant(tmp_path / "l07_squares")), tmp_path / "lesson.ipynb")
    notebook = nbformat.read(path, 4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [[output.output_type for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]
    assert kinds == [[], ["stream"], ["stream", "display_data", "stream"], ["stream", "display_data", "stream"]]
