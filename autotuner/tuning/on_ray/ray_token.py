"""Whether a Ray cluster takes the token that is here, and what to tell where it does not.

Ray itself tries for twenty seconds, and then says that it could not connect.
"""

from __future__ import annotations

import os
from pathlib import Path

import grpc
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # of C
from ray.exceptions import AuthenticationError

from autotuner.errors import InfrastructureError

AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_ASKED_S = 5.0
_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"  # of the control store
_RULE = (
    f"the token that the cluster was started with, in {AUTH_TOKEN} or in a file that {AUTH_TOKEN_FILE} names, "
    f"and {AUTH_MODE}=token"
)


def read_settings_anew() -> None:
    """Has Ray's core read its variables and the token, which it does once, again."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def check_token(address: str, host_and_port: str, *, is_found: bool = False) -> None:
    """Raises InfrastructureError where the cluster at ``host_and_port`` refuses what Ray would send it.

    ``address`` is what the user gave. Ray sends a token to a cluster that it has found by itself (``is_found``)
    unless that is forbidden, to any other only by RAY_AUTH_MODE=token.
    """
    sent = _token() if _sends(is_found) else None
    metadata = [("authorization", f"Bearer {sent}")] if sent else []
    with grpc.insecure_channel(host_and_port, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_QUESTION)(b"", timeout=_ASKED_S, metadata=metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise refusal(f"the Ray cluster at {address}", address, is_found=is_found) from error


def refusal(who: str, address: str | None, *, is_found: bool = False) -> InfrastructureError:
    """The error to raise when ``who`` refused what was sent."""
    token, source = _token(), _source()
    if token is None:
        told = f"{who} asks for a token, and there is none here; looked for in {_places()}"
    elif not _sends(is_found):
        mode = os.environ.get(AUTH_MODE) or "not set"
        told = f"{who} asks for a token, and none was sent: {AUTH_MODE} is {mode}; with token, {source} is sent"
    else:
        told = f"{who} does not take the token of {source}: it was started with another"
    return InfrastructureError(told, key="address", value=address, rule=_RULE)


def no_token_here(address: str | None) -> InfrastructureError:
    """The error to raise where this machine's own settings ask for a token that is not there."""
    told = f"{AUTH_MODE}=token, and there is no token here; looked for in {_places()}"
    return InfrastructureError(told, key="address", value=address, rule=_RULE)


def _sends(is_found: bool) -> bool:
    return os.environ.get(AUTH_MODE, "token" if is_found else "").lower() == "token"


def _token() -> str | None:
    """What Ray would send from here."""
    read_settings_anew()
    try:
        return AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True) or None
    except AuthenticationError:  # a file that can't be read
        return None


def _source() -> str:
    if os.environ.get(AUTH_TOKEN):
        return AUTH_TOKEN
    return os.environ.get(AUTH_TOKEN_FILE) or str(_usual_file())


def _places() -> str:
    """Where Ray looks, in its order, and what was there."""
    named = os.environ.get(AUTH_TOKEN_FILE)
    if named:
        return f"{AUTH_TOKEN} (not set) and {named} ({_state(Path(named))}), which {AUTH_TOKEN_FILE} names"
    usual = _usual_file()
    return f"{AUTH_TOKEN} (not set), {AUTH_TOKEN_FILE} (not set) and {usual} ({_state(usual)})"


def _state(file: Path) -> str:
    try:
        return "empty" if not file.read_text(encoding="utf-8", errors="replace").strip() else "no token"
    except OSError as error:
        return str(error.strerror).lower()


def _usual_file() -> Path:
    return Path.home() / ".ray" / "auth_token"
