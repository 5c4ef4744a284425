import numpy as np

from lstmega.inference.logits_processors import ENDED, RowHistory


def test_a_history_grows_column_by_column():
    history = RowHistory(np.array([7, 8]), 2)
    assert history.ids.tolist() == [[7, 8], [7, 8]]
    assert history.written.shape == (2, 0)
    columns = np.arange(600).reshape(300, 2)
    for number, column in enumerate(columns):
        assert history.length == number
        history.append(column)
    np.testing.assert_array_equal(history.written, columns.T)
    np.testing.assert_array_equal(history.ids[:, :2], [[7, 8], [7, 8]])


def test_a_row_has_ended_when_its_last_id_says_so():
    history = RowHistory(np.array([0]), 2)
    assert history.ended.tolist() == [False, False]
    history.append(np.array([ENDED, 3]))
    assert history.ended.tolist() == [True, False]


def test_the_ids_since_a_length_are_the_columns_after_it():
    history = RowHistory(np.array([0]), 1)
    history.append(np.array([1]))
    assert history.written[:, 0:].T.tolist() == [[1]]
    read = history.length
    history.append(np.array([2]))
    assert history.written[:, read:].T.tolist() == [[2]]
    assert history.written[:, 0:].T.tolist() == [[1], [2]]
    assert history.written[:, history.length :].T.tolist() == []
