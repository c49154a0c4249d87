"""Who is compared: what to install, what to start, and which files a user writes for it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the job.

    Attributes:
        name: what the tables call it.
        requires: what is installed, pinned; `.` for this project.
        app: the module that warm calls are made through.
        command: what a user starts; the text comes in on standard input.
        statement: what a script imports.
        files: what a user writes, in the folder of the apps.
        environment: variables of its own.
        variant: whether it is another with one thing changed, and measured only where that matters.
    """

    name: str
    requires: tuple[str, ...] = ()
    app: str
    command: tuple[str, ...]
    statement: str
    files: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    variant: bool = False


FLOOR = Contender(
    name="plain HTTP",
    app="http_app",
    command=("python", "http_app.py"),
    statement="import http.client, json",
    files=("http_app.py", "summary.schema.json"),
)

RUNLLM = Contender(
    name="runllm",
    requires=(".", "litellm==1.110.2", "openai==3.57.0", "pydantic==2.14.4"),
    app="runllm_app",
    command=("runllm", "run", "summary.rllm"),
    statement="import runllm",
    files=("summary.rllm",),
)

CONTENDERS = (
    RUNLLM,
    Contender(
        name="runllm --no-stats",
        requires=(".", "litellm==1.110.2", "openai==3.57.0", "pydantic==2.14.4"),
        app="runllm_app",
        command=("runllm", "run", "summary.rllm", "--no-stats"),
        statement="import runllm",
        files=("summary.rllm",),
        environment={"RUNLLM_STATS": "off"},
        variant=True,
    ),
    Contender(
        name="litellm",
        requires=("litellm==1.110.2", "openai==3.57.0", "pydantic==2.14.4"),
        app="litellm_app",
        command=("python", "litellm_app.py"),
        statement="import litellm",
        files=("litellm_app.py",),
    ),
    Contender(
        name="openai",
        requires=("openai==3.57.0", "pydantic==2.14.4"),
        app="openai_app",
        command=("python", "openai_app.py"),
        statement="from openai import OpenAI",
        files=("openai_app.py",),
    ),
    Contender(
        name="instructor",
        requires=("instructor==1.17.0", "openai==3.3.0", "pydantic==2.14.4"),
        app="instructor_app",
        command=("python", "instructor_app.py"),
        statement="import instructor",
        files=("instructor_app.py",),
    ),
    Contender(
        name="pydantic-ai",
        requires=("pydantic-ai-slim[openai]==2.68.0", "openai==3.57.0", "pydantic==2.14.4"),
        app="pydantic_ai_app",
        command=("python", "pydantic_ai_app.py"),
        statement="from pydantic_ai import Agent",
        files=("pydantic_ai_app.py",),
    ),
    Contender(
        name="any-llm",
        requires=("any-llm-sdk[openai]==1.40.2", "openai==3.57.0", "pydantic==2.14.4"),
        app="any_llm_app",
        command=("python", "any_llm_app.py"),
        statement="import any_llm",
        files=("any_llm_app.py",),
    ),
    Contender(
        name="llm",
        requires=("llm==0.36", "openai==3.57.0", "pydantic==2.14.4"),
        app="llm_app",
        command=("sh", "llm_app.sh"),
        statement="import llm",
        files=("llm_app.sh", "summary.schema.json", "extra-openai-models.yaml"),
    ),
)
