"""Users: who may ask and manage; for owners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.administration import Administration
from bridge.domain.errors import BadRequest, BridgeError, Conflict, NotFound
from bridge.domain.identity import Role
from bridge.pages.answers import Answer, Page, Redirect
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.entrance import Transactions
from bridge.pages.visit import Fields, Visit
from bridge.store import identity
from bridge.store.connection import Cursor

_DONE = {
    "created": "The user was created. Make a token for them on the page Tokens.",
    "disabled": "The user was disabled: their tokens are refused from now on.",
    "enabled": "The user was enabled again.",
    "deleted": "The user was deleted, and their tokens were revoked. Their records stay.",
    "roles": "The roles were changed.",
}


class UserPages:
    """`/ui/users`."""

    def __init__(
        self, *, pool: Transactions, administration: Callable[[Visit], Administration]
    ) -> None:
        """Change users.

        Args:
            pool: where statements run.
            administration: makes changes in the name of whoever visits.
        """
        self._pool = pool
        self._administration = administration

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        one = "/ui/users/<name>"
        return (
            ("GET", "/ui/users", self.listed),
            ("POST", "/ui/users", self.create),
            ("POST", f"{one}/disable", self.disable),
            ("POST", f"{one}/enable", self.enable),
            ("POST", f"{one}/delete", self.delete),
            ("POST", f"{one}/roles", self.set_roles),
        )

    async def listed(self, visit: Visit) -> Answer:
        """Return the users."""
        visit.must_own()
        return await self._list(visit)

    async def create(self, visit: Visit) -> Answer:
        """Create a user."""
        visit.must_own()
        try:
            await self._administration(visit).create_user(
                visit.form.get("name", "").strip(), _roles(visit)
            )
        except (BadRequest, Conflict) as error:
            return await self._list(visit, error)
        return _done("created")

    async def disable(self, visit: Visit, name: str) -> Answer:
        """Refuse everything from a user."""
        visit.must_own()
        await self._administration(visit).change_user(name, disabled=True)
        return _done("disabled")

    async def enable(self, visit: Visit, name: str) -> Answer:
        """Undo that."""
        visit.must_own()
        await self._administration(visit).change_user(name, disabled=False)
        return _done("enabled")

    async def delete(self, visit: Visit, name: str) -> Answer:
        """Delete a user, whose name has to be typed to confirm it."""
        visit.must_own()
        if visit.form.get("confirm", "").strip() != name:
            return await self._list(
                visit, BadRequest(f"Type the name {name} to confirm that it is to be deleted.")
            )
        await self._administration(visit).delete_user(name)
        return _done("deleted")

    async def set_roles(self, visit: Visit, name: str) -> Answer:
        """Give a user exactly the roles that are ticked."""
        visit.must_own()
        try:
            roles = _roles(visit)
        except BadRequest as error:
            return await self._list(visit, error)
        await self._administration(visit).change_user(name, roles=roles)
        return _done("roles")

    async def _list(self, visit: Visit, error: BridgeError | None = None) -> Page:
        deleted_too = "all" in visit.query

        async def work(cursor: Cursor) -> Sequence[object]:
            return await identity.users(cursor, deleted_too=deleted_too)

        return Page(
            template="users.html",
            values={
                "users": await self._pool.transaction(work, read_only=True),
                "roles": [role.value for role in Role],
                "deleted_too": deleted_too,
                "form": visit.form if error is not None else Fields(),
                "error": error.message if error is not None else "",
                "done": _DONE.get(visit.query.get("done", ""), ""),
                "command": curl(
                    visit.origin, "/users", {"deleted": "true" if deleted_too else None}
                ),
            },
            status=error.status if error is not None else 200,
        )


def _roles(visit: Visit) -> frozenset[Role]:
    try:
        roles = frozenset(Role(word) for word in visit.form.get("role", "").split())
    except ValueError:
        raise NotFound("There is no such role.") from None
    if not roles:
        raise BadRequest("Tick at least one role.")
    return roles


def _done(what: str) -> Redirect:
    return Redirect(location=f"/ui/users?done={what}")
