"""A model laid out as one vector: what travels, what stays, and what would break it unseen."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
import torch
from torch import nn

from flwr_digest.errors import ConfigError
from flwr_digest.learning.flat import FlatModel, fitting, layout_of, room_like


class Tied(nn.Module):
    """Input and output share one weight, as in many language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.scale = nn.Parameter(torch.ones(3))
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.embed(words) * self.scale)
        return scores


def normed() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_laying_out_changes_no_value() -> None:
    model = normed()
    before = values(model)
    FlatModel(model)
    after = values(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_vector_holds_the_tensors_in_state_dict_order() -> None:
    model = normed()
    expected = torch.cat(
        [tensor.flatten() for tensor in model.state_dict().values() if tensor.is_floating_point()]
    )
    assert torch.equal(FlatModel(model).vector, expected)


def test_vector_and_model_change_together() -> None:
    model = normed()
    flat = FlatModel(model)
    flat.vector.fill_(0.25)
    assert all(torch.all(parameter == 0.25) for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    assert (flat.vector == 2.0).sum() == sum(p.numel() for p in model.parameters())


def test_parameter_objects_stay_so_an_optimizer_keeps_them() -> None:
    model = normed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flat = FlatModel(model)
    before = flat.vector.clone()
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    assert not torch.equal(flat.vector, before)


def test_the_running_statistics_of_batch_norm_travel() -> None:
    model = normed()
    flat = FlatModel(model)
    place = {entry.name: place for entry, place in flat.layout.parts()}["1.running_mean"]
    assert torch.all(flat.vector[place] == 0.0)
    model(torch.randn(16, 4))
    assert torch.equal(flat.vector[place], model.state_dict()["1.running_mean"])
    assert not torch.all(flat.vector[place] == 0.0)


def test_integer_buffers_stay_and_still_count() -> None:
    model = normed()
    flat = FlatModel(model)
    assert "1.num_batches_tracked" not in {entry.name for entry in flat.layout.entries}
    model(torch.randn(16, 4))
    assert int(model.state_dict()["1.num_batches_tracked"]) == 1


def test_a_scalar_and_an_empty_parameter_are_no_trouble() -> None:
    model = nn.ParameterDict(
        {
            "a": nn.Parameter(torch.tensor(3.0)),
            "b": nn.Parameter(torch.empty(0, 4)),
            "c": nn.Parameter(torch.ones(2)),
        }
    )
    flat = FlatModel(model)
    assert flat.vector.tolist() == [3.0, 1.0, 1.0]
    flat.check()


def test_a_transposed_parameter_keeps_its_values() -> None:
    model = nn.ParameterDict({"t": nn.Parameter(torch.arange(6.0).view(2, 3).t())})
    flat = FlatModel(model)
    assert flat.vector.tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    flat.check()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_refused_by_name(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).to(dtype))
    with pytest.raises(ConfigError, match=rf"1\.weight is {dtype}"):
        layout_of(model)


def test_complex_parameters_are_refused_not_left_out() -> None:
    model = nn.ParameterDict({"phase": nn.Parameter(torch.zeros(2, dtype=torch.complex64))})
    with pytest.raises(ConfigError, match=r"phase is torch\.complex64"):
        layout_of(model)


def test_a_lazy_layer_is_refused_until_it_has_a_shape() -> None:
    model = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(ConfigError, match=r"0\.weight has no shape yet"):
        layout_of(model)
    model(torch.ones(1, 3))
    assert layout_of(model).size == 8


def test_a_model_without_anything_to_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 floating-point values"):
        FlatModel(nn.ReLU())


def test_check_is_content_while_the_model_trains_and_loads() -> None:
    model = normed()
    flat = FlatModel(model)
    model.load_state_dict(normed().state_dict())
    model.float()
    model.cpu()
    flat.check()


@pytest.mark.parametrize("how", ["assign", "data", "double", "buffer", "removed"])
def test_check_finds_what_no_longer_lives_in_the_vector(how: str) -> None:
    model = normed()
    flat = FlatModel(model)
    if how == "assign":
        model.load_state_dict(normed().state_dict(), assign=True)
    elif how == "data":
        model[3].weight.data = torch.zeros(2, 6)
    elif how == "double":
        model.double()
    elif how == "buffer":
        model[1].running_var = torch.ones(6)
    else:
        del model[3]
    with pytest.raises(ConfigError, match="moved after attach") as caught:
        flat.check()
    assert "\n" not in str(caught.value)


def test_check_finds_what_was_not_there_before() -> None:
    model = normed()
    flat = FlatModel(model)
    model.append(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"4\.\w+ was added after attach") as caught:
        flat.check()
    assert "\n" not in str(caught.value)


# --- wrapped models -----------------------------------------------------------------------------


def compiled(model: nn.Module) -> nn.Module:
    wrapped: object = torch.compile(model, backend="eager")
    assert isinstance(wrapped, nn.Module)
    return wrapped


@pytest.mark.parametrize("wrap", [compiled, nn.DataParallel])
def test_what_wraps_a_model_is_looked_through_where_the_names_ask_for_it(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    model = normed()
    wrapped = wrap(model)
    assert fitting(wrapped, layout_of(model)) is model
    assert fitting(wrapped, layout_of(wrapped)) is wrapped
    assert fitting(model, layout_of(wrapped)) is model
    assert fitting(nn.DataParallel(wrapped), layout_of(model)) is model


def test_a_model_of_several_processes_is_refused() -> None:
    model = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    with pytest.raises(ConfigError, match="attach the plain module, in one process"):
        fitting(model, layout_of(normed()))


def test_repair_lifts_a_negative_running_variance_and_nothing_else() -> None:
    model = normed()
    flat = FlatModel(model)
    flat.vector.fill_(-1.0)
    flat.repair()
    state = model.state_dict()
    assert torch.all(state.pop("1.running_var") == 0.0)
    assert all(torch.all(v == -1.0) for v in state.values() if v.is_floating_point())


# --- one tensor under two names -----------------------------------------------------------------


def test_tied_weights_keep_both_names_as_the_state_dict_does() -> None:
    names = [entry.name for entry in layout_of(Tied()).entries]
    assert names == ["scale", "embed.weight", "head.weight"]


def test_tied_weights_stay_tied_and_are_not_taken_for_moved() -> None:
    model = Tied()
    flat = FlatModel(model)
    flat.check()
    assert model.head.weight is model.embed.weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.tensor([0, 1, 2])).square().sum().backward()
    optimizer.step()
    assert model.head.weight.data_ptr() == model.embed.weight.data_ptr()
    flat.check()


def test_repair_makes_both_places_of_a_tied_weight_equal() -> None:
    model = Tied()
    flat = FlatModel(model)
    with torch.no_grad():
        model.embed.weight += 1.0
    flat.repair()
    places = {entry.name: place for entry, place in flat.layout.parts()}
    assert torch.equal(flat.vector[places["embed.weight"]], flat.vector[places["head.weight"]])
    assert torch.equal(flat.vector[places["head.weight"]], model.embed.weight.detach().flatten())


def test_the_places_of_a_tied_weight_are_known() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 3), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    flat = FlatModel(model)
    assert [(each.echo, each.home) for each in flat.echoes] == [(slice(13, 17), slice(0, 4))]
    assert FlatModel(nn.Linear(2, 2)).echoes == ()


# --- room ---------------------------------------------------------------------------------------


def test_room_is_like_the_tensor_and_numpys() -> None:
    tensor = torch.ones(1 << 20)[5:]
    tracemalloc.start()  # sees NumPy's memory, and none of PyTorch's
    try:
        room = room_like(tensor)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (room.shape, room.dtype, room.device) == (tensor.shape, tensor.dtype, tensor.device)
    assert size >= tensor.nbytes


def test_room_is_on_the_same_device() -> None:
    assert room_like(torch.empty(3, device="meta")).device.type == "meta"
