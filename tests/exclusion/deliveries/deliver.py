"""Appends a message to an mbox with Python's mailbox module, as its documentation says."""

import mailbox
import sys
import time

path, message = sys.argv[1:]
with open(message, 'rb') as file:
    text = file.read()
mbox = mailbox.mbox(path)
while True:
    try:
        mbox.lock()
        break
    except mailbox.ExternalClashError:
        time.sleep(0.05)
try:
    mbox.add(mailbox.mboxMessage(text))
    mbox.flush()
finally:
    mbox.unlock()
mbox.close()
