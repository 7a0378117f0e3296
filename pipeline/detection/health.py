"""Health and biometric words, where they are linked to a person."""

# ruff: noqa: E501 - tables read best as rows, in many scripts

from typing import Final

from pipeline.detection.rules import Rule, hinted
from pipeline.detection.terms import CONDITIONS, MEDICATIONS
from schemas.policies import DataClass

_LINKS: Final = hinted(
    "patient patients patientin diagnosed diagnosis diagnosis: diagnoses suffers suffering has had my i her his he she mrn prescribed treated treatment taking takes "
    "symptoms condition history admitted hospital surgery dr medical allergic allergies medication dob tested health clinical chart insured "
    "diagnose leidet patientinnen meine mein mi mis su diagnóstico padece paciente diagnostiqué souffre mon ma diagnosi soffre paziente diagnosticado sofre"
)
_SOMEBODY: Final = hinted(
    "patient patients patientin diagnosed i i'm im my me mine he she his her him hers we our mr mrs ms miss mother father son daughter wife husband brother sister "
    "employee colleague prescribed suffers admitted ich mein meine meiner mich er sie sein seine ihr ihre frau herr je mon ma mes il elle son sa madame monsieur yo mi mis él ella su sus señor señora "
    "io mio mia lui lei suo sua signor signora eu meu minha ele ela seu sua ik mijn hij zij zijn haar mam moja mój pan pani"
)
"""Words that speak of somebody: anywhere in the sentence they link a term to them."""
_CONDITIONS: Final = (
    r"asthma|copd|chronic obstructive pulmonary disease|pneumonia|bronchitis|tuberculosis|covid-?19|influenza|emphysema|cystic fibrosis|sleep apn(?:o)?ea|"
    r"(?:type (?:1|2|i|ii) |gestational )?diabetes(?: mellitus)?(?: type (?:1|2))?|hypertension|high blood pressure|hypotension|atrial fibrillation|arrhythmia|angina|heart (?:failure|attack|disease)|myocardial infarction|coronary artery disease|stroke|"
    r"(?:breast|lung|prostate|colon|colorectal|skin|ovarian|cervical|pancreatic|liver|stomach|thyroid|bladder|kidney|brain) cancer|cancer|carcinoma|melanoma|lymphoma|leuk(?:a)?emia|tumou?r|metastas[ei]s|sarcoma|"
    r"hiv(?:[ -]positive)?|hiv/aids|hepatitis(?: [abc])?|syphilis|gonorrh(?:o)?ea|chlamydia|herpes|hpv|malaria|sepsis|lyme disease|"
    r"(?:major |clinical |postpartum )?depress(?:ion|ive disorder)|bipolar(?: disorder)?(?: type (?:i|ii|1|2))?|schizophrenia|anxiety(?: disorder)?|generali[sz]ed anxiety disorder|panic (?:disorder|attacks?)|ptsd|post-traumatic stress disorder|ocd|obsessive[- ]compulsive disorder|adhd|autism(?: spectrum disorder)?|anorexia(?: nervosa)?|bulimia|borderline personality disorder|dementia|alzheimer'?s?(?: disease)?|parkinson'?s?(?: disease)?|epilepsy|seizures|migraines?|multiple sclerosis|amyotrophic lateral sclerosis|neuropathy|"
    r"(?:rheumatoid |osteo|psoriatic )?arthritis|osteoporosis|lupus|fibromyalgia|gout|psoriasis|eczema|crohn'?s(?: disease)?|ulcerative colitis|celiac disease|ibs|irritable bowel syndrome|gerd|gastritis|cirrhosis|pancreatitis|"
    r"chronic kidney disease|kidney (?:failure|stones)|renal failure|hypothyroidism|hyperthyroidism|an(?:a)?emia|h(?:a)?emophilia|sickle cell(?: disease)?|endometriosis|pcos|infertility|miscarriage|pregnan(?:t|cy)|erectile dysfunction|hyperlipidemia|hypercholesterolemia|obesity|substance abuse|alcoholism|opioid addiction|glaucoma|cataracts?|allergic rhinitis|anaphylaxis|"
    r"krebs|bluthochdruck|depressionen|schlaganfall|herzinfarkt|asthme|cancer du sein|diabète|hypertension artérielle|dépression|cáncer|hipertensión|depresión|asma|diabete|ipertensione|depressione|tumore|diabetes tipo (?:1|2)|câncer|hipertensão|depressão"
)
_DRUGS: Final = (
    r"metformin|insulin|lisinopril|atorvastatin|simvastatin|amlodipine|metoprolol|losartan|warfarin|apixaban|rivaroxaban|clopidogrel|aspirin|ibuprofen|paracetamol|acetaminophen|amoxicillin|azithromycin|ciprofloxacin|doxycycline|prednisone|prednisolone|albuterol|salbutamol|fluticasone|omeprazole|pantoprazole|levothyroxine|"
    r"sertraline|fluoxetine|citalopram|escitalopram|paroxetine|venlafaxine|duloxetine|bupropion|mirtazapine|lithium|quetiapine|olanzapine|risperidone|aripiprazole|clozapine|lamotrigine|valproate|gabapentin|pregabalin|alprazolam|lorazepam|diazepam|clonazepam|zolpidem|methylphenidate|adderall|ritalin|oxycodone|hydrocodone|morphine|fentanyl patch|tramadol|codeine|methadone|buprenorphine|naloxone|"
    r"tamoxifen|methotrexate|adalimumab|rituximab|truvada|antiretrovirals?|chemotherapy|radiotherapy|dialysis|ozempic|semaglutide|viagra|sildenafil|finasteride|testosterone|estradiol"
)
_PROCEDURES: Final = r"appendectomy|mastectomy|hysterectomy|colonoscopy|endoscopy|biopsy|c(?:a)?esarean|bypass surgery|hip replacement|knee replacement|transplant|abortion|vasectomy|mammogram|hba1c|blood test results|hiv test|pap smear|ct scan|mri scan|ecg|ekg"
_BODY: Final = (
    r"finger[ _-]?prints?(?:[ _-]template|[ _-]scan|[ _-]hash)?|palm[ _-]?prints?|retina(?:l)?[ _-](?:scan|pattern)|iris[ _-](?:scan|template|code)|face[ _-]?prints?|facial[ _-](?:recognition|geometry|template|scan)|face[ _-](?:id|template|embedding)|"
    r"voice[ _-]?prints?|voice[ _-]template|dna[ _-](?:profile|sample|sequence)|genetic[ _-](?:profile|test)|gait[ _-](?:analysis|pattern)|biometric[ _-](?:template|data|id|hash|identifier)|fingerabdruck|huella(?:s)?[ _-]dactilar(?:es)?|empreinte[ _-]digitale|impronta[ _-]digitale"
)


def _health(kind: str, terms: str, base: float) -> Rule:
    return Rule(
        id=f"health.{kind}",
        data_class=DataClass.HEALTH,
        kind=kind,
        pattern=rf"(?i)\b(?:{terms})\b",
        base=base,
        hints=_LINKS,
        linked=_SOMEBODY,
    )


HEALTH: Final = (
    _health("condition", f"{_CONDITIONS}|{CONDITIONS}", -1.4),
    _health("medication", f"{_DRUGS}|{MEDICATIONS}", -1.8),
    _health("procedure", _PROCEDURES, -1.8),
    Rule(
        id="biometric.term", data_class=DataClass.BIOMETRIC, kind="term", base=-2.0,
        pattern=rf"(?i)\b(?:{_BODY})\b", hints=hinted("template hash id enrolled stored captured his her my employee user scan sample match identifier verified registered"),
    ),
    Rule(
        id="biometric.template", data_class=DataClass.BIOMETRIC, kind="template", base=2.0,
        pattern=rf"(?i)(?:\b|_)(?:{_BODY})[\"']?\s{{0,2}}[:=]\s{{0,2}}[\"']?(?P<v>[0-9a-z+/_-]{{16,900}}=*)",
    ),
)  # fmt: skip
