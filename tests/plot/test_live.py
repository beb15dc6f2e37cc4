"""The page of a learning curve that grows."""

import pytest

from deepdensity_tf.main import main
from deepdensity_tf.plot import live


@pytest.fixture
def looks(monkeypatch):
    """What happens at each look; the last interrupts."""
    steps = []

    def sleep(seconds):
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(live.time, "sleep", sleep)
    return steps


def test_page_follows_the_curve(tmp_path, monkeypatch, looks):
    monkeypatch.chdir(tmp_path)
    curve, page = tmp_path / "lcurve.out", tmp_path / "lcurve.html"

    def begin():
        assert "no such file" in page.read_text()
        curve.write_text("# step nmae_trn lr\n 10 5.0 0.1\n 20 4.0 0.1\n")

    def go_on():
        assert "nmae_trn 4" in page.read_text() and "<svg" in page.read_text()
        with curve.open("a") as stream:
            stream.write(" 30 3.0 0.1\n")
        page.unlink()

    def same():
        assert "step 30, nmae_trn 3" in page.read_text()
        page.unlink()

    looks += [begin, go_on, same]
    assert main(["plot", "lcurve", "--follow"]) == 0
    # What did not change is not drawn again.
    assert not page.exists()


def test_only_pages_are_followed(tmp_path, capsys):
    assert main(["plot", "lcurve", "--follow", "-o", str(tmp_path / "x.png")]) == 2
    assert "ends in .html" in capsys.readouterr().err
