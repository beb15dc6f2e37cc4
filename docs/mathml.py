"""Equations as MathML, which browsers draw by themselves: no script, no network."""

from __future__ import annotations

from docutils import nodes
from latex2mathml.converter import convert

# Wide equations scroll; without a font for mathematics the theme would let high ones scroll too.
_BLOCK = '<div class="math" style="overflow-y: hidden; padding: 0.6em 0">{}</div>\n'


def setup(app) -> dict:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    latex = " ".join(node.astext().split())
    translator.body.append(_BLOCK.format(convert(latex, display="block")))
    raise nodes.SkipNode
