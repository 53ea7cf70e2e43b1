"""Which keys are new, told by a filter of a fixed size."""

from hashlib import blake2b

from dsrun.planning.seen_keys import SeenKeys


def test_a_key_that_came_before_is_always_doubtful():
    seen, keys = SeenKeys(), [key(number) for number in range(5000)]
    seen.add(keys[:3000])
    doubtful = seen.add(keys)
    assert set(keys[:3000]) <= set(doubtful)
    assert seen.add(keys) == keys


def test_a_key_that_comes_twice_in_one_call_is_doubtful_the_second_time():
    assert SeenKeys().add([key(1), key(2), key(1)]) == [key(1)]


def test_few_new_keys_are_doubtful():
    assert len(SeenKeys().add(key(number) for number in range(100_000))) < 100


def key(number):
    return blake2b(b"%d" % number, digest_size=16).digest()
