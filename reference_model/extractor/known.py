"""Known crystals that tell in which order a checkpoint's layers normalise: the right order follows their energies.

Formation energies in eV/atom from the Materials Project (CC BY 4.0), as published with Wren (Goodall et al. 2022).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wyckoffkit import CheckpointError
from wyckoffkit.encoding import to_columns
from wyckoffkit.label import parse_label

from .embed import Extractor

KNOWN = (
    ("ABCD4_aP28_2_2i_2i_2i_8i:Br-Mo-Nd-O", -2.575),  # mp-1193284
    ("ABC7DE_mP22_4_a_a_7a_a_a:C-Na-O-S-V", -2.141),  # mp-772183
    ("A2B5C5D12_mC48_5_ab_a2c_a2bc_6c:Cr-Li-Mn-O", -2.184),  # mp-770946
    ("A4BC4D3_mP12_6_2a2b_a_2a2b_a2b:I-S-Sb-Se", -0.371),  # mp-1219479
    ("AB6CDE_mP20_7_a_6a_a_a_a:Co-O-Pr-Ru-Sr", -2.437),  # mp-1218107
    ("ABCD6E_mC20_8_a_a_a_2a2b_a:La-Mg-Na-O-Te", -2.617),  # mp-1220776
    ("A2BC8D2_mC52_9_2a_a_8a_2a:Li-Mn-O-P", -2.478),  # mp-766444
    ("A2B2C3_mC28_12_2i_2i_3i:Ba-Cd-Sb", -0.693),  # mp-1104804
    ("A6BC2D_mP20_14_3e_a_e_d:O-Sc-Sr-Ta", -3.644),  # mp-1208776
    ("AB4CD2_mC32_15_e_2f_c_f:Cs-F-Mn-O", -1.752),  # mp-1190594
    ("AB5CD_oP32_19_a_5a_a_a:As-O-V-Zn", -1.993),  # mvc-5769
    ("A2B2C5_oP36_33_2a_2a_5a:Cu-Lu-O", -2.674),  # mp-15335
    ("AB8C2_oC22_35_a_ab3d_d:Mo-O-V", -2.177),  # mp-546989
    ("A5B5C2_oC24_38_ade_bf_ab:Ag-Al-Ba", -0.282),  # mp-1228156
    ("A5B6_oC44_40_5b_6b:Mg-Si", 0.15),  # mp-1075502
    ("ABC_oF12_42_a_a_a:Nb-U-Zr", 0.172),  # mp-1215196
    ("A3B2_oF40_43_ab_b:Ga-Hf", -0.494),  # mp-11441
    ("A9B9C4_oP44_55_a2g2h_cg3h_2g:Bi-Ca-Mn", -0.516),  # mp-31042
    ("A11B3_oP56_60_c5d_cd:P-Rb", -0.312),  # mp-1197062
    ("ABC3_oP20_62_c_a_cd:Dy-Ni-O", -2.414),  # mp-19265
    ("A6B9C_oC64_63_gh_cfgh_c:C-N-Sm", -0.209),  # mp-569221
    ("AB4C3_oC16_65_a_gj_bf:Li-O-Ti", -2.869),  # mp-867744
    ("A4B3C2_oF36_69_m_ad_h:Be-Pt-Rb", 0.136),  # mp-795639
    ("A2BC_oI8_71_e_a_b:Al-Pd-Pt", 1.263),  # mp-1097168
    ("A2BC2_oI20_72_j_a_j:Cs-Mn-S", -1.219),  # mp-505034
    ("A2BC4_oI28_74_ac_b_hi:Cr-Li-S", -1.157),  # mvc-16777
    ("A16B10C_tP27_81_4h_g2h_a:Se-Tb-Yb", -1.875),  # mp-1173113
    ("AB4C_tI24_88_a_f_b:Dy-O-V", -3.194),  # mp-1095571
    ("A2BCD3_tP14_129_2c_c_c_cf:Ba-F-In-O", -2.884),  # mp-19956
    ("A11B8_tP38_136_af2i_fgi:Ca-N", -0.728),  # mp-680640
    ("A3B3C_tI28_139_abde_eg_e:Ge-Ni-Sm", -0.537),  # mp-17658
    ("A3B5C_tI36_140_ah_cl_b:Ba-O-Si", -3.255),  # mp-7765
    ("A2BC_tI16_141_e_a_b:N-U-Zr", -1.723),  # mp-35739
    ("A12B3C5D_hP21_157_2cd_c_bc_a:O-Pb-Sr-Zn", -2.342),  # mp-1218569
    ("A4BC2D_hR24_160_4a_a_2a_a:C-Hf-Nb-U", -0.529),  # mp-1224243
    ("AB3C6_hP40_164_cd_adfi_c2d3i:Al-Fe-O", -2.177),  # mp-1253312
    ("A3B2C12D4_hR63_166_d_c_2h_be:Ca-F-O-Ta", -3.602),  # mp-1227686
    ("A2B3_hR30_167_c_e:In-O", -1.988),  # mp-22323
    ("A5B_hP6_187_agh_d:Ca-Mg", 0.037),  # mp-1039385
    ("ABC_hP9_189_ad_g_f:Ir-Sn-U", -0.448),  # mp-1080803
    ("AB3C5_hP18_193_b_g_dg:Hf-Pr-Sb", -0.94),  # mp-1209778
    ("ABC2_hP8_194_c_a_f:Al-N-Zr", -1.172),  # mp-4678
    ("ABC_cF12_216_a_c_b:Bi-Ni-Sm", -0.665),  # mp-1206682
    ("A4B3_cI28_220_c_a:S-Sm", -2.395),  # mp-2038
    ("AB_cP2_221_a_b:Cu-Y", -0.236),  # mp-712
    ("AB3_cP8_223_a_c:Au-Tl", 0.075),  # mp-1080569
    ("ABC2_cF16_225_a_b_c:Mg-Sr-Tl", -0.268),  # mp-867172
    ("AB2C4_cF56_227_a_d_e:Ca-Mo-O", -2.404),  # mvc-4908
)

# Even the wrong order follows energies a little, since elements say much of them: what is left unexplained decides.
CLEAR, UNEXPLAINED = 0.9, 0.75


def correlation(extractor: Extractor) -> float:
    """Pearson's r of predicted and known formation energies; free of scale and shift, which checkpoints lack."""
    predicted = extractor.embed(to_columns(parse_label(label) for label, _ in KNOWN)).energy
    known = np.array([energy for _, energy in KNOWN])
    if not np.isfinite(predicted).all() or predicted.std() == 0:
        return 0.0
    return float(np.corrcoef(predicted, known)[0, 1])


def choose_by_energies(path: Path, extractors: dict[str, Extractor]) -> Extractor:
    """The one whose predictions follow the known energies. Raises CheckpointError where that is not clear."""
    found = {order: correlation(extractor) for order, extractor in extractors.items()}
    best, worst = sorted(found, key=lambda order: -found[order])
    if found[best] < CLEAR or 1 - found[best] ** 2 > UNEXPLAINED**2 * (1 - found[worst] ** 2):
        raise CheckpointError(
            f"{path} does not say whether its layers normalise before or after each block, and its predictions do not "
            f"tell (correlation with {len(KNOWN)} known formation energies: {best} {found[best]:.2f}, {worst} "
            f"{found[worst]:.2f}): say norm='pre' (aviary 1.2 and newer) or norm='post' (older)"
        )
    return extractors[best]
