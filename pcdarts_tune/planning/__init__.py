"""`sweep --plan`: what a sweep would be, measured by a few real steps, before anything is written or started.

plan = make_plan(request)       # gather.py: plain values, what --json prints
click.echo(as_text(plan))       # show.py
"""
