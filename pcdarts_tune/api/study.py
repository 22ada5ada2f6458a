"""The Optuna study of a sweep for reading: what would change it is refused, since the sweep alone writes to it.

study = read_study(sweep)
study.best_value; optuna.visualization.plot_param_importances(study)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from optuna import Study, load_study
from optuna.storages import BaseStorage

from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeps.study.storage import explain_open_errors, open_storage

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.sweep import SweepHandle


def read_study(sweep: SweepHandle) -> Study:
    """The study, which follows the sweep while that runs."""
    name = sweep.study.name  # where it is missing, opening it here would make an empty one
    with explain_open_errors(sweep.study_url):
        return load_study(study_name=name, storage=ReadOnlyStorage(open_storage(sweep.study_url)))


class ReadOnlyStorage(BaseStorage):
    """A storage of Optuna that refuses whatever changes it.

    Raises:
        UserError: a study or a trial is made, changed or deleted.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> Any:
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._storage.get_study_system_attrs(study_id)

    def get_all_studies(self) -> Any:
        return self._storage.get_all_studies()

    def get_trial(self, trial_id: int) -> Any:
        return self._storage.get_trial(trial_id)

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> Any:
        return self._storage.get_all_trials(study_id, deepcopy, states)

    def remove_session(self) -> None:
        self._storage.remove_session()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UserError(
            "the study of a sweep is for reading: the sweep alone writes to it",
            hint="Sweep.extend(trials) runs more trials; optuna.copy_study makes a study of your own",
        )

    create_new_study = delete_study = create_new_trial = _refuse
    set_study_user_attr = set_study_system_attr = set_trial_param = _refuse
    set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = set_trial_system_attr = _refuse
