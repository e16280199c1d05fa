"""Commands about space groups."""

from __future__ import annotations

from typing import Annotated

import typer

from wyckoffkit.commandhelp import CommandApp

from .options import Json


def register(app: CommandApp) -> None:
    """Add this family's commands."""
    app.command()(spacegroup)


def spacegroup(
    name: Annotated[str, typer.Argument(metavar="NUMBER|SYMBOL", help="Of International Tables, as 194 or P63/mmc.")],
    as_json: Json = False,
) -> None:
    """Show a space group and its Wyckoff positions.

    Example: wyckoffkit spacegroup Fm-3m
    """
    from wyckoffkit.spacegroup import SpaceGroup

    group = SpaceGroup.from_number(int(name)) if name.lstrip("-").isdecimal() else SpaceGroup.from_symbol(name)
    if as_json:
        import json
        from dataclasses import asdict

        record = {
            "number": group.number,
            "symbol": group.symbol,
            "crystal_system": group.crystal_system,
            "point_group": group.point_group,
            "pearson": group.family + group.centring,
            "positions": [asdict(position) for position in group.positions],
        }
        typer.echo(json.dumps(record))
        return
    typer.echo(
        f"{group.symbol} ({group.number}), {group.crystal_system}, point group {group.point_group}, "
        f"Pearson {group.family}{group.centring}; {len(group.constrained)} constrained and "
        f"{len(group.unconstrained)} unconstrained positions"
    )
    width = max(len("site symmetry"), *(len(p.site_symmetry) for p in group.positions))
    typer.echo(f"letter  multiplicity  {'site symmetry':<{width}}  dof  coordinates")
    for p in group.positions:
        row = f"{p.letter:<6}  {p.multiplicity:>12}  {p.site_symmetry:<{width}}  {p.dof:>3}  {p.coordinates}"
        typer.echo(row)
