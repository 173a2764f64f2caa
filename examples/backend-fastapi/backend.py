"""Roomcast in a FastAPI backend: tokens for the user of the session, messages over /v1, and a logout that
ends the session's connections.

    ROOMCAST_SECRET_FILE=secret ROOMCAST_KEY=shop.… uvicorn backend:app --port 3000
"""

import asyncio
import os
import random
import secrets
import time
import uuid
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import jwt
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from starlette.middleware.sessions import SessionMiddleware

URL = os.environ.get("ROOMCAST_URL", "http://127.0.0.1:8080")
KEY = os.environ["ROOMCAST_KEY"]
# The secret that the nodes have too (auth.hs_secret_file): the first line is the present one.
SECRET = Path(os.environ["ROOMCAST_SECRET_FILE"]).read_text().splitlines()[0].strip()
TOKEN_SECONDS = 600
ROOMS = {"chat:*": ["join", "publish", "history"], "inbox:{sub}": ["join"]}
USERS = {"alice": "wonderland", "bob": "builder"}  # In the place of your own login.

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex(32), same_site="lax")


async def roomcast(path, body):
    """429 and 503 say when to come back; after 504, or without an answer, nothing is sure: sent again
    with the same key a message is stored once."""
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": str(uuid.uuid4())}
    async with httpx.AsyncClient(base_url=URL, headers=headers, timeout=10, trust_env=False) as http:
        for attempt in range(1, 6):
            seconds = 0.2 * attempt
            try:
                answer = await http.post(path, json=body)
                if answer.status_code not in (429, 503, 504):
                    return answer
                seconds = float(answer.headers.get("Retry-After", seconds))
            except httpx.TransportError:
                pass
            await asyncio.sleep(seconds * random.uniform(1, 2))
    raise HTTPException(502)


def session(request: Request):
    if "user" not in request.session:
        raise HTTPException(401)
    return request.session


Session = Annotated[dict, Depends(session)]


@app.post("/login", status_code=204)
async def login(request: Request, user: Annotated[str, Body()], password: Annotated[str, Body()]):
    if USERS.get(user) != password:
        raise HTTPException(401)
    request.session.update(user=user, jti=str(uuid.uuid4()))


@app.post("/token")
async def token(session: Session, response: Response):
    response.headers["Cache-Control"] = "no-store"
    claims = {"sub": session["user"], "jti": session["jti"], "exp": int(time.time()) + TOKEN_SECONDS, "rooms": ROOMS}
    return {"token": jwt.encode(claims, SECRET, algorithm="HS256")}


@app.post("/rooms/{room}/messages")
async def publish(room: str, session: Session, data: Annotated[Any, Body()], response: Response):
    if not room.startswith("chat:"):  # Your own rules.
        raise HTTPException(403)
    answer = await roomcast(f"/v1/rooms/{quote(room, safe='')}/messages", {"data": data, "user": session["user"]})
    response.status_code = answer.status_code
    return answer.json()


@app.post("/logout", status_code=204)
async def logout(session: Session):
    """Ends the connections that came with this session's tokens, and keeps these out while they last."""
    answer = await roomcast("/v1/bans", {"jti": session["jti"], "seconds": TOKEN_SECONDS, "reason": "logged out"})
    session.clear()
    if answer.is_error:
        raise HTTPException(502)
