"""``python -m consumers NAME…``: run consumer groups in one process."""

import click

from consumers.app import GROUPS, run
from infra import log, starting
from infra.settings import shown


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*GROUPS, "all"]), required=True)
@click.option("--check", is_flag=True, help="Print the settings without secrets.")
def main(names: tuple[str, ...], *, check: bool) -> None:
    """Run the groups NAMES, or all of them, in this process."""
    settings = starting.settings()
    if check:
        click.echo(shown(settings))
        return
    log.configure(settings.log.level)
    starting.run(
        run(settings, [*GROUPS] if "all" in names else list(dict.fromkeys(names)))
    )


if __name__ == "__main__":
    main()
