"""A conversation as the ids that a model learned to answer: each message between two tokens, its speaker first.

    <|im_start|>user⏎What is gravity?<|im_end|>⏎<|im_start|>assistant⏎

The form is ChatML's (OpenAI 2023), which SmolLM2 and many other models have.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.text.bpe import ByteBPE

START, END = "<|im_start|>", "<|im_end|>"

# The two Jinja templates that say this, one with words of a system where a conversation has none of its own.
_TEMPLATE = (
    "{% for message in messages %}",
    "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n",
    "<|im_end|>\n' }}{% endif %}",
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
)
_KNOWN = re.compile("{}(?:{}([^'{{}}]*){})?{}".format(*map(re.escape, _TEMPLATE)))


@dataclass(frozen=True)
class ChatML:
    """system: what a system says first where a conversation does not begin with a message of its own; None: nothing."""

    system: str | None = None

    @classmethod
    def of_template(cls, template: str | None) -> "ChatML":
        """The form that a model's chat_template describes; ConfigError for one that is not ChatML."""
        if template is None or (found := _KNOWN.fullmatch(template)) is None:
            raise ConfigError(
                tr("this model has no chat format that minilm knows (ChatML): let it continue a text, without --chat")
            )
        return cls(found.group(1))

    def ids(self, tokenizer: ByteBPE, messages: Iterable[tuple[str, str]]) -> list[int]:
        """The ids of messages, (role, content) each, and of the beginning of the answer.

        Only the form's own tokens are special: "<|im_end|>" in a message is plain text, and ends nothing.
        """
        messages = list(messages)
        if self.system is not None and messages and messages[0][0] != "system":
            messages.insert(0, ("system", self.system))
        start, end = (tokenizer.special_tokens[name] for name in (START, END))
        found: list[int] = []
        for role, content in messages:
            found += [start, *tokenizer.encode(f"{role}\n{content}"), end, *tokenizer.encode("\n")]
        return [*found, start, *tokenizer.encode("assistant\n")]
