"""The recipe that a plan asks for: one of `RECIPES`, with settings changed."""

from dataclasses import fields, replace

from ..network import vgg19
from .plan import Plan
from .recipe import Recipe, RecipeError, find


def choose(plan: Plan) -> Recipe:
    """Return the recipe of a new run.

    Raises:
        RecipeError: no such recipe or setting, or a value that it can't take.
        vgg19.WeightsError: there is no network in `plan.start`.
    """
    recipe = adjust(find(plan.recipe), plan.changes)
    return recipe if plan.start is None else like_its_start(recipe, plan)


def like_its_start(recipe: Recipe, plan: Plan) -> Recipe:
    """Return the recipe with what the start's weights were trained for.

    That is what the network does to pixels first, and the widths of its head. Behind
    other ones the weights would not fit, or would see other pictures. Settings that the
    plan names stay as asked, and a new head is as wide as the recipe says.

    Raises:
        vgg19.WeightsError: there is no network in `plan.start`.
    """
    kept = {"dropout", *plan.changes, *(["hidden_units"] if plan.new_head else [])}
    known = vgg19.read_facts(plan.start)["network"]
    return replace(recipe, **{k: v for k, v in known.items() if k not in kept})


def adjust(recipe: Recipe, settings: dict[str, str]) -> Recipe:
    """Change settings of a recipe, given as text.

    Args:
        recipe: to start from.
        settings: attribute -> value as on a command line: `4`, `1e-4`, `true`,
            `none`, `256,128`, `sgd`.

    Raises:
        RecipeError: no such setting, or a value of another kind.
    """
    kinds = {field.name: field.type for field in fields(Recipe)}
    changed = {}
    for name, text in settings.items():
        if name not in kinds:
            raise RecipeError(
                f"no setting is called {name}; expected one of {', '.join(kinds)}"
            )
        try:
            changed[name] = _parse(text, kinds[name])
        except ValueError as error:
            raise RecipeError(f"{name}={text}: expected {kinds[name]}") from error
    try:
        return replace(recipe, **changed)
    except ValueError as error:
        raise RecipeError(str(error)) from error


def _parse(text: str, kind: type) -> object:
    if text.lower() == "none":
        if kind not in (int | None, float | None):
            raise ValueError(text)
        return None
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind == tuple[int, ...]:
        return tuple(int(part) for part in text.split(",") if part)
    if kind in (int, int | None):
        return int(text)
    if kind in (float, float | None):
        return float(text)
    return text
