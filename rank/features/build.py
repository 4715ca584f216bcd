"""The step `features`: every set of impressions with its features, and the feature map fitted on the training one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap, FeatureMapFit
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.features.write import apply_feature_map, write_features, write_prepared
from prectr.rank.history.log import UNCUT
from prectr.shared.engine.job import Engine
from prectr.shared.engine.plain import PLAIN


def write_feature_sets(
    shop: Shop,
    pages: Callable[[str], PageParts],
    evaluated: Sequence[str],
    rungs: Sequence[int],
    history: HistoryArguments,
    seed: int,
    keep: Callable[[FeatureMap], FeatureMap],
    work: Path,
    engine: Engine = PLAIN,
) -> None:
    """Write `work`/train, a folder per evaluated split, a folder per rung of the new users' ladder, and
    feature_map.json.

    Args:
        pages: the impressions of a split. evaluated: splits that are scored as they are. rungs: to how many pages the
            history of new users is cut; none where there is no such split.
        keep: the feature map to use in place of the fitted one: itself, or a trained ranker's.
    """
    train = pages("train")
    cuts = cold_cuts(train.num_pages, history.cold_share, history.cold_lengths, seed)
    fit = FeatureMapFit(
        shop.items,
        item_id=history.item_id_embedding,
        user_id=history.user_id_embedding,
        max_vocabulary=history.max_vocabulary,
        hash_buckets=history.hash_buckets,
    )
    features = write_features(train, shop, history, cuts, fit, work / "train", engine)
    last_second = int(PreparedSet.open(work / "train").seconds.max())
    feature_map = keep(fit.finish(shop.log.event_types_before(last_second)))
    apply_feature_map(train, shop, cuts, features, feature_map, work / "train", engine)
    (work / "feature_map.json").write_text(feature_map.to_json(), encoding="utf-8")
    for split in evaluated:
        write_prepared(pages(split), shop, history, UNCUT, feature_map, work / split, engine)
    if rungs:
        new_users = pages("new_users")
        for length in rungs:
            write_prepared(new_users, shop, history, length, feature_map, work / f"new_users_{length}", engine)
