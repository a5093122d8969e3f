# Sentences of the pages of recipients.
