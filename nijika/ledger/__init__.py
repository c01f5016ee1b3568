"""Money: holds, captures and refunds that happen exactly once."""

from nijika.ledger.bill import Bill
from nijika.ledger.charge import CALLER_GONE, Charge
from nijika.ledger.fingerprint import Fingerprint
from nijika.ledger.ledger import Ledger
from nijika.ledger.orders import Hold, Settlement

__all__ = ["CALLER_GONE", "Bill", "Charge", "Fingerprint", "Hold", "Ledger", "Settlement"]
