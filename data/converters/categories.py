"""The category of a query, for a log that names none: what was clicked under it before. [O]

A page's query has the category in which most was clicked under the same query strictly before the page and within the
training time, so that nothing of the future is in it and no judged page counts. Where two have as many, the one that
had them first keeps it. A query under which nothing had been clicked by then has the category most often shown on its
own page, as a request that names none has when it is served; but not where skipped items were drawn rather than logged:
they are of the clicked item's category.
"""

from __future__ import annotations

from prectr.data.converters.staging import Staging


def infer_categories(staging: Staging, shown_is_logged: bool) -> None:
    """Fill `query_category` of the table `pages`, where none of its queries has one and items have categories.

    Args:
        shown_is_logged: whether what was skipped is known, and not drawn.
    """
    if "category" not in staging.columns("items") or staging.value("SELECT count(query_category) FROM pages"):
        return
    staging.table(
        "category_clicks",
        """SELECT query, category, seconds, row_number() OVER (PARTITION BY query, category
            ORDER BY seconds, page_id, item_id) AS clicks, row_number() OVER (PARTITION BY query
            ORDER BY seconds, page_id, item_id) AS place
            FROM shown JOIN pages USING (page_id) JOIN items USING (item_id)
            WHERE clicked AND category IS NOT NULL
            AND seconds <= (SELECT max(seconds) FROM pages WHERE split = 'train')""",
    )
    # The category in front is that whose count was the last to reach a new height. Of one second the last counts: what
    # an ASOF join picks among ties is not told.
    staging.table(
        "category_leads",
        """SELECT query, seconds, arg_max(category, clicks) AS category FROM (SELECT *, max(clicks) OVER
            (PARTITION BY query ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS height
            FROM category_clicks) WHERE height IS NULL OR clicks > height GROUP BY query, seconds""",
    )
    of_page = """SELECT page_id, arg_min(category, (-n, category)) AS category FROM (SELECT page_id, category,
                 count(*) AS n FROM shown JOIN items USING (item_id) WHERE category IS NOT NULL
                 GROUP BY page_id, category) GROUP BY page_id"""
    staging.table(
        "pages",
        f"""SELECT pages.* REPLACE (coalesce(leads.category, of_page.category) AS query_category)
            FROM pages ASOF LEFT JOIN category_leads AS leads
            ON pages.query = leads.query AND pages.seconds > leads.seconds
            LEFT JOIN ({of_page}) AS of_page ON {shown_is_logged} AND of_page.page_id = pages.page_id""",
    )
    known, pages = staging.rows("SELECT count(query_category), count(*) FROM pages")[0]
    staging.tell(
        f"no categories of queries: {known:,} of {pages:,} pages have the one clicked most under their query "
        "before, in the training time" + (", else the one they show most" if shown_is_logged else "")
    )
