# Sentences of the pages of mailings.
