"""What can be typed? `fedmatch COMMAND`; one file a noun lies beside this one."""

import click

from fedmatch.cli import (
    audit,
    backup,
    deliveries,
    evaluate,
    follow,
    init,
    instance,
    listing,
    match,
    notification,
    peers,
    post,
    report,
    respond,
    response,
    review,
    run,
    search,
    social,
    status,
    suggestion,
    timeline,
    topic,
    unlock,
    user,
    vet,
    vouch,
)
from fedmatch.cli.house import Group


@click.group(cls=Group, environment=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="fedmatch")
def main() -> None:
    """Requests and offers for human-rights work, on many small servers.

    A first instance: `fedmatch init --host localhost:8000`, `fedmatch serve`, `fedmatch user create NAME`.
    """


for command in (
    init.init,
    run.serve,
    run.work,
    unlock.unlock,
    backup.backup,
    backup.restore,
    status.status,
    status.doctor,
    user.user,
    instance.instance,
    follow.follow,
    post.post,
    post.delete,
    social.like,
    social.boost,
    social.vote,
    social.pin,
    social.unfollow,
    social.block,
    social.move,
    timeline.timeline,
    deliveries.deliveries,
    listing.listing,
    match.match,
    evaluate.match_eval,
    evaluate.suggest_skills,
    suggestion.suggestion,
    search.search,
    review.review,
    notification.notification,
    topic.topic,
    respond.respond,
    response.response,
    response.message,
    peers.peers,
    vouch.vouch,
    vet.vet,
    audit.audit,
    report.report,
):
    main.add_command(command)
