"""Sentences that hold something, and sentences that only look like it.

``<KIND>`` is a value that ``training/values.py`` makes, and is what is to be found, as
is what stands in ``«…»``; in the other sentences it is nothing. Slots are as in ``training/grammar.py``.
"""

# ruff: noqa: E501 - sentences, in many languages

from collections.abc import Mapping, Sequence
from typing import Final

from schemas.policies import DataClass
from training.grammar import Slots

SLOTS: Final[Slots] = {
    "term": ["asthma", "type 2 diabetes", "hypertension", "epilepsy", "depression", "lupus", "migraine", "hepatitis C", "anemia", "breast cancer", "psoriasis"],
    "drug": ["metformin", "sertraline", "insulin", "warfarin", "lithium", "prednisone", "gabapentin", "ibuprofen"],
    "body": ["fingerprint template", "voiceprint", "retina scan", "face embedding", "iris scan", "palm print"],
    "thing": ["order", "invoice", "ticket", "parcel", "build", "batch", "article", "contract", "lot", "case"],
}  # fmt: skip

HOLDING: Final[Mapping[DataClass, Sequence[str]]] = {
    DataClass.EMAIL: ("Write to <EMAIL> {today|please}.", "Contact: <EMAIL>", '[["mail": "<EMAIL>"]]', "Meine Adresse ist <EMAIL>."),
    DataClass.PHONE: ("{Call|Phone|Text} me at <PHONE>.", "Tel: <PHONE>", "Telefon <PHONE>", "Mi móvil es <PHONE>.", "My number is <PHONE>, {thanks|ask for the desk}.", "reach the desk on <PHONE> after six", "phone,<PHONE>", "Appelez le <PHONE>.", "You can find me here: <PHONE>", "<PHONE>"),
    DataClass.ADDRESS: ("{I live at|Ship it to|Deliver to} <ADDRESS>.", "Address: <ADDRESS>", "Adresse: <ADDRESS>", "The house at <ADDRESS> was sold.", "Vivo en <ADDRESS>.", "We met in front of <ADDRESS>"),
    DataClass.GOV_ID: ("{My|The} {ID|identity|identification} number is <GOV>.", "national id: <GOV>", "citizen identity <GOV>", "personal identification <GOV> as issued", "id,<GOV>"),
    DataClass.CARD: ("{Charge|Use|Block} the card <CARD>.", "Visa <CARD>", "card number: <CARD>", "Kreditkarte <CARD>", "He paid with <CARD> {today|in March}.", "<CARD>", "tarjeta <CARD>"),
    DataClass.BANK: ("IBAN <IBAN>", "Send it to <IBAN> please.", "Konto: <IBAN>", "the account <IBAN> is mine", "<IBAN>", "bank account <D10>", "account number: <D9>"),
    DataClass.MEDICAL_ID: ("MRN <MRN>", "medical record number: <MRN>", "patient id <MRN>", "member id: <MRN> as printed"),
    DataClass.BIRTH_DATE: ("{born|DOB:|date of birth} <DATE>", "geboren am <DATE>", "née le <DATE>", "birthday: <DATE>", "nacido el <DATE>", "dob,<DATE>"),
    DataClass.NETWORK: ("{host|server|ip} <NETWORK> {is down|answered}", "ping <NETWORK>", "from <NETWORK> to the gateway", "address=<NETWORK>"),
    DataClass.SECRET: ('api_key = "<SECRET>"', "the token is <SECRET>", "secret: <SECRET>", "Authorization: Bearer <SECRET>", "client_secret=<SECRET>"),
    DataClass.CRYPTO: ("wallet <WALLET>", "send it to <WALLET>"),
    DataClass.PLATE: ("licence plate <PLATE>", "Kennzeichen <PLATE>", "plate: <PLATE>"),
    DataClass.HEALTH: ("{My|Her|His} doctor says it is «{term}».", "The patient has «{term}».", "I was diagnosed with «{term}» {in March|last year}.", "she takes «{drug}» {daily|at night}", "prescribed «{drug}»"),
    DataClass.BIOMETRIC: ("the employee's «{body}» was {stored|captured}", "her «{body}» is enrolled", "«{body}» of the user"),
    DataClass.MINOR: ("my {son|daughter} «is <AGE> years old»", "a «<AGE>-year-old» {boy|girl}", "he «is <AGE> years old» and in the {choir|team}"),
    DataClass.PERSON: (
        "I met <PERSON> {today|in the hall|again}.", "Dear <PERSON>,", "Best regards,\n<PERSON>", "name: <PERSON>", '[["name": "<PERSON>"]]', "<PERSON> {called|signed|will come} {today|later}.", "Ich habe mit <PERSON> gesprochen.",
        "La lettre de <PERSON> est arrivée.", "Hablé con <PERSON> ayer.", "<PERSON> and <PERSON> {agreed|moved}.", "name,city\n<PERSON>,Valmont",
    ),
    DataClass.URL: ("see «https://site.example/{a|b|c}/<D7>»", "«www.site.example/{a|b}» {says so|is down}"),
}  # fmt: skip

LIKE: Final[Sequence[str]] = (
    "{thing} no. <D9>", "{thing} number <D11> was sent", "{thing} <D11> is late", "{thing} <D16> was {packed|printed}", "{thing} <D12> is late", "version <SHORT> is out", "release <SHORT>, build <D7>", "total: <D10>", "timestamp <D10>", "epoch <D10>",
    "commit <BLOB>", "part <CODE>", "sku <CODE>", "the meeting is on <DATE>", "on <DATE> we moved", "released <DATE>", "invoice of <DATE>", "page <D7>", "score <D9> points", "price <D7> in cents", "ISBN <D10>", "serial <D12>", "tracking <D12>", "row <D16>", "<D9> people live there", "about <D7> of them",
    "the number <D11> is prime", "<GROUPS>", "<D10> and <D9> are the sums", "case <GROUPS> was closed", "reference <D16>", "There are {many|few} kinds of {term}.", "A paper about {term} and {term}.", "{drug} was first made long ago.", "The {body} {market|chapter} grew.", "I am <OLD> years old.",
    "Please Read The Annual Report.", "The Ministry of Health said so on Monday.", "Northwind Traders and Harbour Bank merged.", "Visit Berlin, Paris and New York.", "Die Stadtwerke Neustadt teilen mit.", "Le Président de la République", "Windows and Linux", "Machine Learning For Beginners", "Best regards,\nThe Support Team",
    "def total(rows): return sum(rows)", "SELECT * FROM parts WHERE id = <D7>", "token = request.headers['x-token']", "password: must have twelve characters", "the secret of good bread", "session key exchange takes place first", "plate of 12 cakes", "ratio 16:9, time 12:30:45", "a:b:c:d", "room 12, floor 3",
    "1.5 million, 2.25 percent, 3,141,592", "<D7>", "id <D7>", "Ask <D9> again", "key <BLOB>", "hash <BLOB>",
)  # fmt: skip
