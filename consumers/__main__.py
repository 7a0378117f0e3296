"""``python -m consumers NAME…``: run consumer groups in one process."""

import sys

import click
import uvloop

from consumers.app import GROUPS, run
from infra import log
from infra.settings import load, shown


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*GROUPS, "all"]), required=True)
@click.option("--check", is_flag=True, help="Print the settings without secrets.")
def main(names: tuple[str, ...], *, check: bool) -> None:
    """Run the groups NAMES, or all of them, in this process."""
    try:
        settings = load()
    except ValueError as error:
        click.echo(f"settings: {error}", err=True)
        sys.exit(2)
    if check:
        click.echo(shown(settings))
        return
    log.configure(settings.log.level)
    uvloop.run(
        run(settings, [*GROUPS] if "all" in names else list(dict.fromkeys(names)))
    )


if __name__ == "__main__":
    main()
