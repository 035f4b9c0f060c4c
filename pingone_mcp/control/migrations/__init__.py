"""How control data of older editions become today's, step by step (Alembic); `control/database.py` applies them."""
