"""Classifiers that start from a generator or from another classifier."""

import numpy as np
import pytest

import lstmega
from lstmega import classify
from lstmega.data.labelled import Labelled
from lstmega.errors import UsageError
from lstmega.nn import devices
from lstmega.nn.backbone import weights_of
from lstmega.runs import classifier_job
from lstmega.training.classifier import ClassifierLearner

DATA = Labelled(
    "names",
    "text",
    ["anna", "otto", "hannah", "lotto", "nana", "toto", "ana", "tom"] * 3,
    ("a", "o", "a", "o", "a", "o", "a", "o") * 3,
)
OPTIONS = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "split": "random", "progress": False}


def learner_of(initial, checkpoints, **more):
    job = classifier_job.prepare(
        DATA, checkpoints=checkpoints, init_from=initial, epochs=1, split="random", batch_size=4, **more
    )
    learner = ClassifierLearner(job, devices.choose("cpu"), compiled=False)
    learner.warm_start(job.initial)
    return job, learner


@pytest.mark.parametrize("bidirectional", [False, True])
def test_embedding_and_recurrent_layers_come_from_the_generator(tiny_run, tmp_path, bidirectional):
    job, learner = learner_of(tiny_run, tmp_path, bidirectional=bidirectional)
    found, source = weights_of(learner.network), tiny_run.weights()
    assert (job.model.cell, job.model.units, job.model.embedding) == ("lstm", 12, 5)
    for name in ("lstm_1/kernel", "lstm_1/recurrent_kernel", "lstm_1/bias"):
        np.testing.assert_array_equal(found[name], source[name])
    for character in tiny_run.vocabulary.characters:
        now, before = (v.encode(character)[0] for v in (job.vocabulary, tiny_run.vocabulary))
        np.testing.assert_array_equal(
            found["embedding/embeddings"][now], source["embedding/embeddings"][before]
        )
    assert job.vocabulary.has_unknown and len(job.vocabulary) == len(found["embedding/embeddings"])


def test_a_training_from_a_generator_resumes_without_it(tiny_run, tmp_path):
    how = {"checkpoints": tmp_path, "run": "a", **OPTIONS}
    run = classify.train(DATA, init_from=tiny_run, **how)
    assert run.record.initial.startswith("owl ")
    assert ("warm start", "owl") in run.record.facts()
    longer = classify.train(DATA, **how | {"epochs": 2})
    whole = classify.train(DATA, init_from=tiny_run, **how | {"run": "b", "epochs": 2})
    assert longer.record.step == whole.record.step
    assert classify.predict(longer, ["anna"]).labels[0] in {"a", "o"}
    fresh = how | {"run": "c", "units": 12, "embedding": 5}
    classify.train(DATA, **fresh)
    with pytest.raises(UsageError, match="no --init-from, not owl"):
        classify.train(DATA, init_from=tiny_run, **fresh)


def test_a_classifier_starts_from_another(tmp_path):
    first = classify.train(DATA, checkpoints=tmp_path, run="first", units=6, embedding=4, **OPTIONS)
    _, learner = learner_of(first, tmp_path)
    found, source = weights_of(learner.network), first.weights()
    assert {name for name in source if (found[name] != source[name]).any()} == {
        "classes/kernel",
        "classes/bias",
    }


def test_mistakes_name_what_is_accepted(tiny_run, tmp_path):
    vectors = Labelled("v", "vectors", [np.zeros((2, 2), np.float32)] * 4, ("a", "b", "a", "b"))
    for data, more, message in (
        (vectors, {}, "needs two models that read characters"),
        (DATA, {"tokens": "word"}, "needs two models that read characters"),
        (DATA, {"units": 9}, "owl has --units 12, not 9"),
    ):
        with pytest.raises(UsageError, match=message):
            classify.train(data, init_from=tiny_run, checkpoints=tmp_path, **OPTIONS | more)
    with pytest.raises(UsageError, match="is a classifier"):
        run = classify.train(DATA, checkpoints=tmp_path, run="c", units=4, embedding=3, **OPTIONS)
        lstmega.train(lstmega.Corpus.from_text("abc" * 100), init_from=run, checkpoints=tmp_path)


def test_a_warm_start_resumes_bit_by_bit(tiny_run, tmp_path):
    noise = {"dropout": 0.2, "weight_drop": 0.2, "token_dropout": 0.2, "schedule": "constant"}
    how = {"init_from": tiny_run, "run": "a", **OPTIONS, **noise}
    whole = classify.train(DATA, checkpoints=tmp_path / "whole", **how | {"epochs": 2})
    classify.train(DATA, checkpoints=tmp_path, **how)
    again = classify.train(DATA, checkpoints=tmp_path, **how | {"epochs": 2})
    assert again.record.step == whole.record.step
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(again.weights()[name], array)
