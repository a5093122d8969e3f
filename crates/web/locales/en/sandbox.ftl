sandbox-title = Sandbox
sandbox-what = No mail server is set up, so letters end here instead of in people's inboxes. The last ones are kept in memory.
sandbox-count = { $count ->
    [one] { $count } letter came
   *[other] { $count } letters came
}, the last { $kept } are kept
sandbox-search = Search by address or subject
sandbox-clear = Empty the sandbox
sandbox-clear-question = Forget all letters of the sandbox?
sandbox-cleared = The sandbox is empty.
sandbox-empty-title = No letters yet
sandbox-empty-text = Send a test letter or start a mailing: its letters appear here.
sandbox-subject = Subject
sandbox-no-subject = (no subject)
sandbox-from = From
sandbox-to = To
sandbox-at = Came
sandbox-size = Size
sandbox-headers = Headers
