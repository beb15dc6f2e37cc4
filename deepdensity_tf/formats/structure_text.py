"""What the text of a structure file says and ASE's atoms do not."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from deepdensity_tf.formats.base import read_bytes
from deepdensity_tf.formats.files import plain_name
from deepdensity_tf.formats.findings import Finding

_START = 1 << 20  # bytes of a file that are looked at


def examine_file(path: str | Path) -> list[Finding]:
    """What is odd about a structure file and is lost when ASE reads it.

    LAMMPS files with type numbers alone, which ASE takes as atomic numbers; hydrogens that a CIF
    file counts but does not place; alternate locations in PDB files; elements that are guessed.
    """
    start = read_bytes(Path(path), _START).decode("latin-1")
    if start.startswith("ITEM:"):
        return _types_without_elements(start)
    name = plain_name(Path(path)).lower()
    if re.search(r"^.*\bxlo\s+xhi\b", start, re.MULTILINE):
        return _types_without_masses(start)
    if name.endswith((".cif", ".mcif")):
        return _implicit_hydrogens(start) + _elements_of_labels(start)
    if name.endswith(".gro"):
        return _gromos(start)
    return _protein_data_bank(start) if name.endswith((".pdb", ".ent")) else []


def _types_without_elements(text: str) -> list[Finding]:
    """A dump of LAMMPS that says neither elements nor masses."""
    if re.search(r"^ITEM: ATOMS.*\b(element|mass)\b", text, re.MULTILINE):
        return []
    message = (
        "a LAMMPS dump with types but without elements (ASE takes the types as atomic numbers)"
    )
    hint = "write it with 'dump_modify ID element C H ...' and the column element"
    return [Finding("fault", f"{message}; {hint}")]


def _types_without_masses(text: str) -> list[Finding]:
    """A data file of LAMMPS that does not say the masses, by which ASE finds elements."""
    if re.search(r"^\s*Masses\b", text, re.MULTILINE):
        return []
    message = "a LAMMPS data file without Masses (ASE takes the types as atomic numbers)"
    return [Finding("fault", f"{message}; write it with them, or as a dump with elements")]


def _elements_of_labels(text: str) -> list[Finding]:
    """A CIF file that says labels alone."""
    sites = _atom_sites(text)
    if not sites or "_atom_site_type_symbol" in sites[0]:
        return []
    message = "has labels of atoms but no _atom_site_type_symbol: elements are guessed from them, "
    return [Finding("doubt", f"{message}so that CL1 is carbon")]


def _gromos(text: str) -> list[Finding]:
    """Elements, which the format does not have; a number of atoms that is not that of the lines."""
    lines = text.rstrip().split("\n")
    count = lines[1].strip() if len(lines) > 1 else ""
    if len(text) < _START and count != str(len(lines) - 3):
        stated = count[:20] or "no number"
        return [Finding("final", f"states {stated} atoms, {len(lines) - 3} lines have some")]
    return [
        Finding(
            "fault",
            "a .gro file has no elements: they are guessed from the names of atoms, so that CL is "
            "carbon and MW tungsten (write it as .pdb or .xyz with elements)",
        )
    ]


def _implicit_hydrogens(text: str) -> list[Finding]:
    """Hydrogens that a CIF file counts at their atoms or in its formula and does not place."""
    sites = _atom_sites(text)
    attached = 0.0
    for site in sites:
        with suppress(ValueError):
            attached += float(site.get("_atom_site_attached_hydrogens", 0))
    if attached:
        text = f"{attached:g} hydrogens are counted at their atoms but have no positions"
        return [Finding("fault", text)]
    names = (s.get("_atom_site_type_symbol", s.get("_atom_site_label", "")) for s in sites)
    placed = {_letters(name) for name in names}
    formula = re.search(r"^_chemical_formula_sum\s+(.*)", text, re.MULTILINE)
    stated = {_letters(word) for word in re.findall(r"[A-Za-z]+", formula[1] if formula else "")}
    if placed and stated & {"H", "D"} and not placed & {"H", "D"}:
        written = formula[1].strip().strip("'\"")
        return [Finding("fault", f"has the formula {written} but no hydrogen atoms")]
    return []


def _letters(word: str) -> str:
    """What an element's symbol is in a label: C12 is C."""
    return re.match(r"[A-Za-z]*", word).group().capitalize()


def _atom_sites(text: str) -> list[dict[str, str]]:
    """The rows of a CIF file's atom loops, by their columns."""
    rows = []
    columns: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("loop_"):
            columns = []
        elif line.startswith("_"):
            columns.append(line.split()[0].lower())
        elif any(column.startswith("_atom_site_") for column in columns):
            words = line.split()
            if len(words) == len(columns):
                rows.append(dict(zip(columns, words, strict=True)))
    return rows


def _protein_data_bank(text: str) -> list[Finding]:
    """Alternate locations, elements that are guessed, a cell that later models lack."""
    lines = text.splitlines()
    atoms = [line for line in lines if line.startswith(("ATOM  ", "HETATM"))]
    letters = sorted({line[16:17] for line in atoms} - {" ", ""})
    found = []
    if len(letters) > 1:
        text = f"has alternate locations ({' '.join(letters)} in column 17), expected one place "
        found.append(Finding("fault", text + "for each atom; choose one of them"))
    unnamed = sum(not line[76:78].strip() for line in atoms)
    if unnamed:
        text = (
            f"{unnamed} atoms have no element (columns 77 and 78): it is guessed from their names"
        )
        found.append(Finding("doubt", text + ", so that CA may be calcium"))
    models, cells = (sum(line.startswith(name) for line in lines) for name in ("MODEL", "CRYST1"))
    if models > 1 and cells == 1:
        text = "states its cell once for several models: ASE takes all but the first as molecules"
        found.append(Finding("fault", text + " (write a trajectory in another format)"))
    return found
