blog-title = Blog
blog-lead = How to write letters that people like to get, and how to run mailings on your own server.
blog-feed = Feed of the blog
blog-to-account = My account
blog-search = Search the blog
blog-tags = Topics
blog-all = All articles
blog-empty = Nothing here yet
blog-empty-text = The first article is being written. Look in again soon.
blog-found = { $count ->
    [one] { $count } article found
   *[other] { $count } articles found
}
blog-minutes = { $count ->
    [one] { $count } minute to read
   *[other] { $count } minutes to read
}
blog-views = Views:
blog-newer = Newer
blog-older = Older
blog-page = Page { $page } of { $pages }
blog-beside = Neighbouring articles
blog-earlier = Before this
blog-later = After this
blog-related = Read next
