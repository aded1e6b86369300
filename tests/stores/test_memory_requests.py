from domain.test_request_record import record
from tokenferry.engine.request_log import Draft
from tokenferry.stores.memory_requests import MemoryRequests


def test_closing_keeps_what_was_written():
    store = MemoryRequests()
    store.write([Draft(record())])
    store.close()
    assert store.find("st_1", None) == record()
