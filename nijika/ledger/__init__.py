"""Money: holds, captures and refunds that happen exactly once."""

from nijika.ledger.bill import Bill
from nijika.ledger.charge import Charge
from nijika.ledger.ledger import Hold, Ledger

__all__ = ["Bill", "Charge", "Hold", "Ledger"]
