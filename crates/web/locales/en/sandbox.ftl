sandbox-title = Sandbox
sandbox-what = No mail server is set up, so letters end up here instead of in recipients’ inboxes. The most recent letters are kept in memory.
sandbox-count = { $count ->
    [one] { $count } letter received
   *[other] { $count } letters received
}, the last { $kept } kept
sandbox-search = Search by address or subject
sandbox-clear = Empty the sandbox
sandbox-clear-question = Delete all letters from the sandbox?
sandbox-cleared = The sandbox is empty.
sandbox-empty-title = No letters yet
sandbox-empty-text = Send a test letter or start a mailing: the letters will appear here.
sandbox-subject = Subject
sandbox-no-subject = (no subject)
sandbox-from = From
sandbox-to = To
sandbox-at = Received
sandbox-size = Size
sandbox-unsubscribe = Unsubscribe as the recipient
sandbox-headers = Headers
