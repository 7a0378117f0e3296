"""What a subscriber was told."""

from demo.tour.scene import Scene
from demo.tour.stories import PRIVATE
from demo.tour.subscriber import Example, Keeper


async def told_of_all(scene: Scene, keeper: Keeper, subscriber: Example) -> None:
    """Each end came, signed; the example takes a genuine one alone."""
    scene.heading("Webhooks, to a subscriber that knows nothing of us")
    told = [await keeper.told_of(row.document["id"]) for row in scene.rows]
    scene.that(
        "one came for every request, verified by the package standardwebhooks",
        all(each and keeper.verified(each) for each in told),
    )
    bodies = b"".join(each.body for each in keeper.received)
    scene.that(
        "none held a word of what was said",
        not any(value.encode() in bodies for value in PRIVATE),
    )
    said = await subscriber.answers(scene.gateway.session)
    scene.that(
        "the example took a genuine one, and its duplicate once",
        (said["genuine"], said["again"]) == (204, 204)
        and subscriber.handled().count("msg_tour") == 1,
    )
    scene.that(
        "it refused a forged and a stale one with 401",
        (said["forged"], said["stale"]) == (401, 401),
    )
