from tokenferry.stores.memory_prices import MemoryPrices


def test_removing_nothing_is_no_write() -> None:
    store = MemoryPrices()
    version = store.data_version()
    store.remove("m")
    assert store.data_version() == version
