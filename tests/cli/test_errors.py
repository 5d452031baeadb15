import pytest
from hydra.errors import ConfigCompositionException

from fpnbench.cli.errors import explain, one_line
from fpnbench.graph.errors import UserError


def test_the_users_mistake_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert explain(UserError("trials=0:\nnot above zero"), debug=True) == 2
    assert capsys.readouterr().err == "error: trials=0: not above zero\n"


def test_anything_else_is_1_with_its_reason_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="no way") as caught:
        raise ValueError("no way")
    assert explain(caught.value, debug=False) == 1
    quiet = capsys.readouterr().err
    assert explain(caught.value, debug=True) == 1
    loud = capsys.readouterr().err
    assert quiet.splitlines()[0] == loud.splitlines()[0] == "failed: ValueError: no way"
    assert "Traceback" not in quiet
    assert "Traceback" in loud


def test_an_interrupt_is_130() -> None:
    assert explain(KeyboardInterrupt(), debug=False) == 130


def test_hydras_lists_stand_on_one_line_without_its_internals() -> None:
    error = ConfigCompositionException(
        "In 'config': Could not find 'space/x'\n\nAvailable options in 'space':\n"
        "\ta\n\tb\nConfig search path:\n\tprovider=main, path=file:///conf"
    )
    assert one_line(error) == (
        "In 'config': Could not find 'space/x'; Available options in 'space': a, b"
    )


def test_a_misspelt_key_is_not_to_be_appended() -> None:
    said = one_line(
        ConfigCompositionException(
            "No 'bugdet'.\nTo append to your config use +bugdet=1"
        )
    )
    assert "+bugdet" not in said
    assert "conf/config.yaml" in said
